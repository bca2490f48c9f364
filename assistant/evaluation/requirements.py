"""What a report must reach: the gate that fails when recognition has become worse.

exact>=0.80                   in every condition
exact@clean>=0.95             in one: at this signal-to-noise ratio
false_accepts_per_hour<=0.5   of the whole report
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import UsageError
from .mixing import Snr, snr_name
from .wording import condition_name

OF_CONDITIONS = (*("exact", "strict", "intent_accuracy", "slot_f1", "rejected", "phoneme_error"),)
"""Figures that every condition has."""

OF_REPORT = {
    "false_accepts": ("negatives", "false_accepts"),
    "false_accepts_per_hour": ("negatives", "false_accepts_per_hour"),
    "endpoint_delay_ms": ("latency", "endpoint_delay_ms", "median"),
    "end_of_speech_to_decision_ms": ("latency", "end_of_speech_to_decision_ms", "median"),
    "early_decision_ms": ("latency", "early_decision_ms", "median"),
    "first_partial_ms": ("latency", "first_partial_ms", "median"),
    "real_time_factor": ("compute", "real_time_factor"),
}
"""Figures that a report has once, and where they stand in it; of latencies the median."""

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_FORM = re.compile(r"\s*(\w+)(?:@([\w.+-]+))?\s*(>=|<=|>|<)\s*([0-9.eE+-]+)\s*")


@dataclass(frozen=True, slots=True)
class Requirement:
    """figure `comparison` bound; at: the condition it is of, None for all."""

    text: str
    figure: str
    at: str | float | None
    comparison: str
    bound: float

    @classmethod
    def parse(cls, text: str, snrs: Sequence[Snr]) -> Requirement:
        """Read it; snrs: the conditions that will be evaluated.

        Raises:
            UsageError: it is none, or speaks of what will not be measured.
        """
        matched = _FORM.fullmatch(text)
        if matched is None:
            raise UsageError(
                f"--require '{text}': expected a figure, a comparison and a number, such as "
                "exact>=0.80 or exact@6>=0.9"
            )
        figure, named, comparison, number = matched.groups()
        if figure not in (*OF_CONDITIONS, *OF_REPORT):
            known = ", ".join([*OF_CONDITIONS, *OF_REPORT])
            raise UsageError(f"--require '{text}': there is no figure '{figure}'; one of: {known}")
        try:
            bound = float(number)
            at = named if named in (None, "clean") else float(named)
        except ValueError:
            raise UsageError(f"--require '{text}': not a number") from None
        if at is not None and figure in OF_REPORT:
            raise UsageError(f"--require '{text}': '{figure}' is of no single condition")
        if at is not None and at not in [snr_name(snr) for snr in snrs]:
            raise UsageError(f"--require '{text}': '{named}' is not among --snr")
        return cls(text, figure, at, comparison, bound)

    def failures(self, report: Mapping[str, Any]) -> list[str]:
        """Where a report falls short of it, a line each; a figure that is missing falls short."""
        if self.figure in OF_REPORT:
            found: Any = report
            for name in OF_REPORT[self.figure]:
                found = found[name] if found is not None else None
            values = [("", found)]
        else:
            values = [
                (f" at {condition_name(condition['snr'])}", condition[self.figure])
                for condition in report["conditions"]
                if self.at in (None, condition["snr"])
            ]
        return [
            f"required {self.text}: {self.figure}{where} "
            + ("was not measured" if value is None else f"is {value:g}")
            for where, value in values
            if value is None or not _COMPARISONS[self.comparison](value, self.bound)
        ]
