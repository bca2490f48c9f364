"""Two reports side by side: what changed on the recordings that both heard, and is it chance.

Everything is paired: the same recording in the same condition, once here and once there. A
difference is `report` minus `other`: the other one is "before".
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UsageError
from .significance import Weights, bootstrap, clusters_of, mcnemar, same_rate
from .wording import VERSION, is_several

HASH = 12
"""Digits of a hash that are told; the report itself has all."""

Report = Mapping[str, Any]
"""The JSON of an evaluation, as `evaluation.report` writes it."""
Entry = Mapping[str, Any]
"""One of its utterances."""
Snr = str | float
"""`clean`, or a signal-to-noise ratio in dB."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A figure here and there, and the paired bootstrap's 95 % interval of what separates them.

    pairs: how many recordings have what it is measured by, in both reports.
    """

    pairs: int
    here: float
    there: float
    interval: tuple[float, float]

    @property
    def difference(self) -> float:
        """Here minus there."""
        return self.here - self.there


@dataclass(frozen=True, slots=True)
class Agreement:
    """A share of right recordings, with those that only one of the reports has right.

    won: right here, wrong there. lost: the reverse. p_value: of McNemar's exact test.
    """

    share: Difference
    won: int
    lost: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Changed:
    """A recording that one report has right (`exact`) and the other has not.

    here, there: what it was taken for, in one line.
    """

    path: str
    snr: Snr
    right_here: bool
    here: str
    there: str


@dataclass(frozen=True, slots=True)
class ConditionComparison:
    """One condition: figures over the `pairs` recordings of both reports.

    only_here, only_there: recordings that the other report lacks. relabelled: recordings of both
    whose labels differ, which are left out. exact, strict: None where no pair has an intent or
    slots to compare with; phoneme_error: where none has text.
    """

    snr: Snr
    pairs: int
    only_here: int
    only_there: int
    relabelled: int
    exact: Agreement | None
    strict: Agreement | None
    phoneme_error: Difference | None
    changed: tuple[Changed, ...]


@dataclass(frozen=True, slots=True)
class FalseAcceptComparison:
    """False accepts in the negatives of each report, and the p-value of one rate for both."""

    here: int
    here_hours: float
    there: int
    there_hours: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two reports.

    conditions: those with recordings in common, in this report's order. unshared: conditions that
    only one of them has. false_accepts: None unless both had negatives. made_differently: what
    they were made from, where that differs: key, here, there.
    """

    conditions: tuple[ConditionComparison, ...]
    unshared: tuple[Snr, ...]
    false_accepts: FalseAcceptComparison | None
    made_differently: tuple[tuple[str, str, str], ...]


def read_report(path: Path) -> Report:
    """Read the JSON of an evaluation.

    Raises:
        UsageError: there is none, or it is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"{path}: no report of 'assistant evaluate --json': {error}") from error
    check_report(content, str(path))
    report: Report = content
    return report


def check_report(content: object, where: str) -> None:
    """Refuse what is no report of this version.

    Raises:
        UsageError: naming `where`.
    """
    needed = ("version", "made_from", "conditions", "utterances")
    if not isinstance(content, Mapping) or any(key not in content for key in needed):
        raise UsageError(f"{where}: no report of 'assistant evaluate --json'")
    if content["version"] != VERSION:
        raise UsageError(
            f"{where}: a report of version {content['version']}, not {VERSION}; evaluate again"
        )


def compare(report: Report, other: Report, seed: int = 0) -> Comparison:
    """Pair the recordings of two reports, condition by condition, and say what changed.

    Intervals are those of the paired bootstrap over recordings, or over speakers where every pair
    has one (Bisani & Ney 2004); p-values take recordings for independent.

    Args:
        report: here.
        other: there; what `report` is measured against.
        seed: of the bootstrap; the same seed gives the same intervals.

    Raises:
        UsageError: one is no report, or they have no recording in common.
    """
    check_report(report, "this report")
    check_report(other, "the other report")
    here, there = _by_condition(report), _by_condition(other)
    compared = (
        _compare_condition(snr, here[snr], there[snr], seed) for snr in here if snr in there
    )
    conditions = tuple(condition for condition in compared if condition is not None)
    if not conditions:
        raise UsageError(
            "the two reports have no recording with the same labels in the same condition: "
            "evaluate one manifest twice, with the same --snr"
        )
    return Comparison(
        conditions=conditions,
        unshared=tuple(snr for snr in {**here, **there} if (snr in here) != (snr in there)),
        false_accepts=_false_accepts(report.get("negatives"), other.get("negatives")),
        made_differently=tuple(_made_differently(report["made_from"], other["made_from"])),
    )


def described(got: Mapping[str, Any]) -> str:
    """What a recording was taken for (or should have been), in one line."""
    slots = [f'{slot}="{value}"' for slot, value in sorted((got.get("slots") or {}).items())]
    if got.get("intent") is None and not slots:
        return "refused"
    return " ".join([str(got.get("intent") or "any intent"), *slots])


# ── one condition ──────────────────────────────────────────────────────────────────────────

_Key = tuple[str, int]
"""A recording's path, and which of its occurrences in the manifest it is."""


def _by_condition(report: Report) -> dict[Snr, dict[_Key, Entry]]:
    found: dict[Snr, dict[_Key, Entry]] = {}
    seen: Counter[tuple[Snr, str]] = Counter()
    for entry in report["utterances"]:
        snr, path = entry["snr"], entry["path"]
        found.setdefault(snr, {})[path, seen[snr, path]] = entry
        seen[snr, path] += 1
    return found


def _compare_condition(
    snr: Snr, here: Mapping[_Key, Entry], there: Mapping[_Key, Entry], seed: int
) -> ConditionComparison | None:
    """None where no recording is in both with the same labels."""
    shared = [key for key in here if key in there]
    paired = [key for key in shared if here[key]["expected"] == there[key]["expected"]]
    if not paired:
        return None
    pairs = [(here[key], there[key]) for key in paired]
    return ConditionComparison(
        snr=snr,
        pairs=len(pairs),
        only_here=len(here) - len(shared),
        only_there=len(there) - len(shared),
        relabelled=len(shared) - len(paired),
        exact=_agreement(pairs, "exact", seed),
        strict=_agreement(pairs, "strict", seed),
        phoneme_error=_phoneme_error(pairs, seed),
        changed=tuple(
            Changed(
                path=str(first["path"]),
                snr=snr,
                right_here=bool(first["exact"]),
                here=_taken_for(first),
                there=_taken_for(second),
            )
            for first, second in pairs
            if first["exact"] is not second["exact"]
        ),
    )


def _taken_for(entry: Entry) -> str:
    return str(entry["reason"]) if is_several(entry) else described(entry["got"])


def _agreement(pairs: Sequence[tuple[Entry, Entry]], key: str, seed: int) -> Agreement | None:
    labelled = [(a, b) for a, b in pairs if a[key] is not None and b[key] is not None]
    if not labelled:
        return None
    clusters = clusters_of([first.get("speaker") for first, _ in labelled])
    right = np.array([[a[key], b[key]] for a, b in labelled], np.float64)
    change = right[:, 0] - right[:, 1]

    def difference(weights: Weights) -> Weights:
        return np.asarray(weights @ change / weights.sum(axis=1))

    won, lost = int((change > 0).sum()), int((change < 0).sum())
    here, there = right.mean(axis=0)
    interval = bootstrap(difference, clusters, seed)
    share = Difference(len(labelled), float(here), float(there), interval)
    return Agreement(share, won, lost, mcnemar(won, lost))


def _phoneme_error(pairs: Sequence[tuple[Entry, Entry]], seed: int) -> Difference | None:
    """Insertions, deletions and substitutions a phoneme, over the pairs with text in both."""
    with_text = [(a, b) for a, b in pairs if _length(a) and _length(b)]
    if not with_text:
        return None
    counts = np.array(
        [[e["phonemes"][k] for e in pair for k in ("errors", "length")] for pair in with_text],
        np.float64,
    )

    def difference(weights: Weights) -> Weights:
        errors, length, other_errors, other_length = (weights @ counts).T
        return np.asarray(errors / length - other_errors / other_length)

    errors, length, other_errors, other_length = counts.sum(axis=0)
    clusters = clusters_of([first.get("speaker") for first, _ in with_text])
    interval = bootstrap(difference, clusters, seed)
    here, there = float(errors / length), float(other_errors / other_length)
    return Difference(len(with_text), here, there, interval)


def _length(entry: Entry) -> int:
    return int((entry.get("phonemes") or {"length": 0})["length"])


# ── the whole ──────────────────────────────────────────────────────────────────────────────


def _false_accepts(here: Entry | None, there: Entry | None) -> FalseAcceptComparison | None:
    if not here or not there or not here["hours"] or not there["hours"]:
        return None
    counts = int(here["false_accepts"]), int(there["false_accepts"])
    hours = float(here["hours"]), float(there["hours"])
    p_value = same_rate(counts[0], hours[0], counts[1], hours[1])
    return FalseAcceptComparison(counts[0], hours[0], counts[1], hours[1], p_value)


def _made_differently(
    here: Mapping[str, Any], there: Mapping[str, Any]
) -> list[tuple[str, str, str]]:
    first, second = _flat(here), _flat(there)
    return [
        (key, first.get(key, "–"), second.get(key, "–"))
        for key in {**first, **second}
        if first.get(key) != second.get(key)
    ]


def _flat(made_from: Mapping[str, Any]) -> dict[str, str]:
    """Keys and values as text; `versions` by name, hashes by their first digits."""
    flat: dict[str, str] = {}
    for key, value in made_from.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{name}": str(inner) for name, inner in value.items()}
        elif isinstance(value, list):
            flat[key] = ", ".join(map(str, value))
        elif value is not None:
            flat[key] = str(value)[:HASH] if key.endswith("_hash") else str(value)
    return flat
