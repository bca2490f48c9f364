"""The YAML that all files are read with: plain values, and every mistake has its place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from yaml.composer import ComposerError
from yaml.constructor import ConstructorError

from .errors import ConfigError

if TYPE_CHECKING:
    _SafeLoader = yaml.SafeLoader
else:
    # libyaml's where PyYAML was built with it: ten times as fast, and nothing else differs.
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

DEEPEST = 100
"""Values within values; an alias within what it refers to has no end."""
_STANDARD = "tag:yaml.org,2002:"


class Loader(_SafeLoader):
    """PyYAML's safe loader, which lets no other error through than its own, with line and column.

    PyYAML itself lets through what Python says of a value, such as "month must be in 1..12".
    """

    def get_single_node(self) -> yaml.Node | None:
        """The one document of the text, or None where there is none."""
        try:
            node: yaml.Node | None = super().get_single_node()
        except RecursionError as error:
            raise ComposerError(None, None, _ENDLESS, None) from error
        if node is not None:
            _check_depth(node)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The value of a node."""
        try:
            return super().construct_object(node, deep)
        except (ConstructorError, ValueError, AttributeError, LookupError) as error:
            if not isinstance(node, yaml.ScalarNode):
                raise
            tag = node.tag.removeprefix(_STANDARD)
            written = node.value[:40]
            problem = f"put '{written}' in quotes if it is text; it cannot be read as {tag}"
            raise ConstructorError(None, None, problem, node.start_mark) from error


def read_yaml(path: Path) -> Any:
    """Parse a YAML file.

    Raises:
        ConfigError: the file is missing or is not YAML, with line and column.
    """
    try:
        return Loader(path.read_text(encoding="utf-8")).get_single_data()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"{path}: not valid YAML: {problem}") from error


_ENDLESS = f"an alias within what it refers to, or more than {DEEPEST} values within each other"


def _check_depth(node: yaml.Node, depth: int = 0) -> None:
    if depth > DEEPEST:
        raise ComposerError(None, None, _ENDLESS, node.start_mark)
    if isinstance(node, yaml.MappingNode):
        for pair in node.value:
            for part in pair:
                _check_depth(part, depth + 1)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_depth(item, depth + 1)
