"""Environment variables: an action sees only those that the policy names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence

from ..errors import ActionError

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


def check_fixed_text(what: str, text: str, environment: Sequence[str]) -> None:
    """Raise ValueError unless `text` is fixed but for `${NAME}` of the variables `environment`."""
    for variable in VARIABLE.findall(text):
        if variable not in environment:
            raise ValueError(f"{what}: write 'environment: [{variable}]' to allow it")
    if re.search("[{}]", VARIABLE.sub("", text)):
        raise ValueError(f"{what}: no slots here: write fixed text, or ${{VARIABLE}}")


def with_variables(what: str, text: str) -> str:
    """`text` with the values of environment variables in place of `${NAME}`.

    Raises:
        ActionError: one is not set.
    """

    def variable(match: re.Match[str]) -> str:
        value = os.environ.get(match[1], "")
        if not value:
            raise ActionError(f"{what} needs the environment variable {match[1]}: set it")
        return value

    return VARIABLE.sub(variable, text)
