"""Write docs/configuration.md anew from the dataclasses of `assistant.config`.

    python scripts/document_configuration.py --output docs/configuration.md

Defaults, types and bounds are those of the fields, descriptions their docstrings.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path

from assistant.bounds import Bounds
from assistant.config import AssistantConfig

INTRODUCTION = """\
# The configuration file

`recognize`, `listen`, `serve`, `show` and others (`--help`) take a YAML file with `--config`. It
says what differs from the defaults:

```yaml
# assistant.yaml: assistant listen --config assistant.yaml
commands: home
early_commit: true
audio: {device: USB}
endpoint: {hangover_ms: 900}
decision:
  false_alarms_per_hour: 0.5
  filler_penalty: null
```

An unknown key is an error, and so is a value of another kind or out of bounds; the message names
file and key. Options of the command line win over the file. `bundle`, `commands` and `contexts` may
be paths as seen from the file's own folder. [The daemon](daemon.md#what-it-understands) reads the
file again when it changes. None is written `null`.

`endpoint` is checked as a whole when listening begins: `minimum_speech_ms` is at most
`start_window_ms`, `maximum_utterance_ms` more than `start_window_ms` and `pre_roll_ms` together.

`make docs` makes this page from `assistant/config.py`.
"""
KINDS = {str: "text", bool: "true or false", int: "whole number", float: "number"}
KINDS[Mapping] = "keys and texts"


def sections(kind: type, name: str = "") -> Iterator[str]:
    """A table of the keys of a configuration dataclass, then one of each dataclass it holds."""
    hints = typing.get_type_hints(kind, include_extras=True)
    described = docstrings(kind)
    lines = ["| key | value | default | |", "|---|---|---|---|"]
    inner = [key for key, hint in hints.items() if dataclasses.is_dataclass(hint)]
    for field in (field for field in dataclasses.fields(kind) if field.name not in inner):
        made = field.default_factory is not dataclasses.MISSING
        default = json.dumps(field.default_factory() if made else field.default)
        value = written(hints[field.name])
        lines.append(f"| `{field.name}` | {value} | `{default}` | {described[field.name]} |")
    title = f"## `{name}`\n\n{inspect.getdoc(kind)}" if name else "## Without a section"
    yield f"{title}\n\n" + "\n".join(lines) + "\n"
    for key in inner:
        yield from sections(hints[key], key)


def docstrings(kind: type) -> dict[str, str]:
    """By field, the string below it, in one line."""
    [body] = ast.parse(inspect.getsource(kind)).body
    return {
        field.target.id: " ".join(below.value.value.split()).replace("|", r"\|")
        for field, below in zip(body.body, body.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr)
    }


def written(hint: object) -> str:
    """What a value of a type is, in words, with its bounds."""
    hint, *extras = typing.get_args(hint) if hasattr(hint, "__metadata__") else (hint,)
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    bounds = [f", {extra}" for extra in extras if isinstance(extra, Bounds)]
    kind = KINDS[typing.get_origin(options[0]) or options[0]]
    return "".join((kind, *bounds)) + (", or null" if type(None) in options else "")


def main() -> None:
    """Write."""
    parser = argparse.ArgumentParser(description="Write docs/configuration.md anew.")
    parser.add_argument("--output", type=Path, default=Path("docs/configuration.md"))
    text = "\n".join((INTRODUCTION, *sections(AssistantConfig)))
    parser.parse_args().output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
