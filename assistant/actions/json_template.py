"""A JSON value, as YAML gives it, whose texts may have placeholders; its keys may not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from .placeholders import Slots, expand_to_value


def check(node: object) -> None:
    """Raise ValueError unless `node` is a JSON value with fixed keys."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if not isinstance(key, str) or "{" in key:
                raise ValueError(f"json: key {key!r}: write fixed text, in quotes")
            check(value)
    elif isinstance(node, list):
        for value in node:
            check(value)
    elif not isinstance(node, str | int | float | None):
        raise ValueError(f"json: {node!r} is nothing JSON knows: put it in quotes")


def texts(node: object) -> Iterator[str]:
    """Every text of `node` in which placeholders may stand."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, Mapping | list):
        for value in node.values() if isinstance(node, Mapping) else node:
            yield from texts(value)


def fill(node: object, slots: Slots) -> object:
    """`node` with slot values in place.

    Raises:
        ActionError: a slot was not said and has no default.
    """
    if isinstance(node, str):
        return expand_to_value(node, slots)
    if isinstance(node, Mapping):
        return {key: fill(value, slots) for key, value in node.items()}
    if isinstance(node, list):
        return [fill(value, slots) for value in node]
    return node
