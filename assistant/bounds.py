"""Bounds of numbers, written on the fields of a dataclass and kept by it."""

from __future__ import annotations

import math
import typing
from dataclasses import dataclass

from .errors import ConfigError


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a number lies within, both included: `Annotated[float, Bounds(0, 1)]`."""

    least: float
    greatest: float = math.inf

    def __contains__(self, number: float) -> bool:
        return math.isfinite(number) and self.least <= number <= self.greatest

    def __str__(self) -> str:
        if self.greatest == math.inf:
            return f"{self.least:g} or more"
        return f"{self.least:g} to {self.greatest:g}"


class Bounded:
    """A dataclass that refuses numbers outside the bounds of their fields."""

    def __post_init__(self) -> None:
        """Look at every field with bounds; None, where a field may be that, is no number.

        Raises:
            ConfigError: naming the key, its bounds and what was found.
        """
        for key, hint in typing.get_type_hints(type(self), include_extras=True).items():
            for bounds in getattr(hint, "__metadata__", ()):
                value = getattr(self, key)
                if isinstance(bounds, Bounds) and value is not None and value not in bounds:
                    raise ConfigError(f"{key}: expected {bounds}, found {value:g}")
