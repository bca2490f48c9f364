"""YAML that remembers where it was written, so that every error can name file and line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from ..errors import ConfigError
from ..types import SlotValue
from ..yaml_loader import Loader


@dataclass(frozen=True, slots=True)
class Located:
    """A YAML value: a mapping holds `dict[str, Located]`, a sequence `list[Located]`."""

    value: Any
    where: str
    """File and line, "home.en.yaml:12"."""

    def mapping(
        self,
        what: str,
        keys: Collection[str] | None = None,
        refused: Mapping[str, str] = MappingProxyType({}),
    ) -> dict[str, Located]:
        """Keys and values; with `keys`, no others, and for some of the others, what to do."""
        if not isinstance(self.value, dict):
            raise self.error(f"{what} must be keys and values, found {self._kind}")
        for key, value in self.value.items():
            if key in refused:
                raise value.error(f"'{key}' is not supported: {refused[key]}")
            if keys is not None and key not in keys:
                raise value.error(f"unknown key '{key}' in {what}; one of: {', '.join(keys)}")
        return self.value

    def sequence(self, what: str) -> list[Located]:
        """The items of a list that is not empty."""
        if not isinstance(self.value, list):
            raise self.error(f"{what} must be a list, found {self._kind}")
        if not self.value:
            raise self.error(f"{what} has no items; write at least one")
        return self.value

    def text(self, what: str) -> str:
        """Text; true and false are refused, since people write on, off, yes and no."""
        if isinstance(self.value, int | float) and not isinstance(self.value, bool):
            return str(self.value)
        if not isinstance(self.value, str):
            raise self.error(f"{what} must be text, found {self._kind}")
        return self.value

    def number(self, what: str) -> int:
        """A whole number."""
        if not isinstance(self.value, int) or isinstance(self.value, bool):
            raise self.error(f"{what} must be a whole number, found {self._kind}")
        return self.value

    def slot_value(self, what: str) -> SlotValue:
        """Text or a number."""
        number = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        return self.value if number else self.text(what)

    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.value, dict):
            return {key: value.plain() for key, value in self.value.items()}
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        return self.value

    def error(self, message: str) -> ConfigError:
        """An error that begins with file and line."""
        return ConfigError(f"{self.where}: {message}")

    @property
    def _kind(self) -> str:
        if isinstance(self.value, bool):
            return (
                f"{str(self.value).lower()} (YAML reads on, off, yes and no so: put it in quotes)"
            )
        if isinstance(self.value, dict | list):
            return "keys and values" if isinstance(self.value, dict) else "a list"
        return "nothing" if self.value is None else repr(self.value)


@contextmanager
def written_at(where: str) -> Iterator[None]:
    """Put file and line before the errors of what knows neither."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def read_located(path: Path) -> tuple[Located, str]:
    """Parse a YAML file; also return its text.

    Raises:
        ConfigError: the file is missing, not YAML, or writes a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
        loader = Loader(text)
        node = loader.get_single_node()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if node is None:
        raise ConfigError(f"{path}: the file is empty")
    return _located(loader, node, path), text


def _located(loader: Loader, node: yaml.Node, path: Path) -> Located:
    where = f"{path}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.SequenceNode):
        return Located([_located(loader, item, path) for item in node.value], where)
    if not isinstance(node, yaml.MappingNode):
        return Located(_constructed(loader, node, where), where)
    values: dict[str, Located] = {}
    for key_node, value_node in node.value:
        key_where = f"{path}:{key_node.start_mark.line + 1}"
        key = Located(_constructed(loader, key_node, key_where), key_where)
        name = key.text("a key")
        if name in values:
            raise key.error(f"'{name}' is written twice; join the two")
        value = _located(loader, value_node, path)
        # A block below its key is better known by the key's line.
        block = isinstance(value_node, yaml.CollectionNode)
        values[name] = Located(value.value, key.where if block else value.where)
    return Located(values, where)


def _constructed(loader: Loader, node: yaml.Node, where: str) -> Any:
    try:
        return loader.construct_object(node)
    except yaml.MarkedYAMLError as error:
        raise ConfigError(f"{where}: {error.problem}") from error
