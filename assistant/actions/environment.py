"""Environment variables: an action sees only those that the policy names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

_NAME = "[A-Za-z_][A-Za-z0-9_]*"

VARIABLE = re.compile(rf"\$\{{({_NAME})\}}")
"""`${NAME}` in a text; group 1 is the name."""


def check_names(names: Sequence[str]) -> None:
    """Raise ValueError unless `names` is a list of names of variables."""
    if isinstance(names, str):
        raise ValueError(f"environment is a list of names: write [{names}]")
    for name in names:
        if not re.fullmatch(_NAME, str(name)):
            raise ValueError(f"environment: {name!r} is no variable's name: write [NAME, NAME]")


def variables(names: Iterable[str]) -> dict[str, str]:
    """Name and value of those of `names` that are set."""
    return {name: os.environ[name] for name in names if name in os.environ}
