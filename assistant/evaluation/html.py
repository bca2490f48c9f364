"""A report as one HTML page that needs nothing else: pictures and sounds are inside it.

The page has no script and says so to the browser, with a policy that lets nothing be fetched.
Names of files, intents and slots, and what was heard, are data: the template escapes them all.
"""

# ruff: noqa: PLC0415 - the libraries are an extra

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UsageError
from ..program import install_line
from . import charts
from .comparison import check_report, described
from .detail import Detail
from .wording import LATENCIES, condition_name
from .worst import Slip, answer_rows, false_accepts, is_wrong, why, worst

if TYPE_CHECKING:
    from jinja2 import Environment

_Name = tuple[str, str | float | None, str]
"""Path, condition and what was said; see `Detail`."""

TEMPLATE, STYLE = "report.html.jinja", "report.css"
HASH = 12
"""Digits of a hash that are shown; the JSON has all."""
PAIRS = 12
"""Confused pairs of a table that are seen at once; the others are one click away."""


def require_libraries() -> None:
    """Refuse to begin what could not be drawn in the end.

    Raises:
        UsageError: matplotlib or Jinja is not installed.
    """
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"--html needs {error.name}, which is not installed: {install_line('picture')}"
        ) from error


def write_html(report: Mapping[str, Any], path: Path, details: Sequence[Detail] = ()) -> None:
    """Write the page of a report.

    Args:
        report: the JSON of an evaluation.
        path: the file that is written.
        details: sounds and pictures of the utterances that are shown; those that have none are
            shown without.

    Raises:
        UsageError: a library is missing, `report` is none, or `path` cannot be written.
    """
    page = render(report, details)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror or error}") from error


def render(report: Mapping[str, Any], details: Sequence[Detail] = ()) -> str:
    """The page's text; the same for the same report and details."""
    require_libraries()
    check_report(report, "the report")
    made_from = {"commands": None, "bundle": None, **report["made_from"]}
    recordings = {entry["path"] for entry in report["utterances"]}
    by_name = {(detail.path, detail.snr, detail.said): detail for detail in details}
    negatives = report.get("negatives")
    page = {
        "title": _title(made_from),
        "made_from": made_from,
        "recordings": len(recordings),
        "conditions": report["conditions"],
        "snr_chart": charts.snr_chart(report["conditions"]) if report["conditions"] else "",
        "phonemes": any(c.get("phoneme_error") is not None for c in report["conditions"]),
        "phoneme_error": report.get("phoneme_error"),
        "phoneme_error_interval": report.get("phoneme_error_interval"),
        "negatives": negatives,
        "det_chart": _det_chart(report),
        "false_accepts": _false_accepts(negatives, by_name),
        "confusions": _confusions(report.get("confusion") or {}),
        "pairs": PAIRS,
        "latency": _latency(report.get("latency") or {}),
        "latency_chart": _latency_chart(report["utterances"]),
        "slips": [_slip(n, slip, by_name) for n, slip in enumerate(worst(report["utterances"]))],
        "wrong": sum(is_wrong(entry) for entry in report["utterances"]),
        "utterances": len(report["utterances"]),
        "problems": report.get("problems") or [],
        "compute": _flat(report.get("compute") or {}),
        "source": _flat(made_from),
        "style": Path(__file__).with_name(STYLE).read_text(encoding="utf-8"),
    }
    return _environment().get_template(TEMPLATE).render(page)


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": charts.percent,
        "span": charts.span,
        "interval": interval,
        "snr": condition_name,
        "described": described,
        "figure": figure,
    }
    return environment


def interval(bounds: Sequence[float] | None) -> str:
    """A 95 % interval of a rate, in hundredths."""
    if bounds is None:
        return ""
    low, high = (charts.percent(bound).removesuffix(" %") for bound in bounds)
    return f"{low}–{high}"


def figure(value: object) -> str:
    """A number as people read it; anything else as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "–" if value is None else str(value)


# ── parts of the page ──────────────────────────────────────────────────────────────────────


def _title(made_from: Mapping[str, Any]) -> str:
    manifest = Path(str(made_from.get("manifest") or "")).parts[-2:]
    where = f" on {'/'.join(manifest)}" if manifest else ""
    return f"{made_from.get('recogniser') or 'Evaluation'}{where}"


def _det_chart(report: Mapping[str, Any]) -> str:
    det = report.get("det") or []
    return charts.det_chart(det, report["made_from"].get("threshold")) if len(det) > 1 else ""


def _false_accepts(
    negatives: Mapping[str, Any] | None, details: Mapping[_Name, Detail]
) -> list[dict[str, Any]]:
    return [
        {"example": example, "detail": details.get((example["path"], None, example["text"]))}
        for example in false_accepts(negatives)
    ]


def _confusions(confusion: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A table for the intents and one for every slot: what was confused, most often first."""
    tables = [("Intents", "refused", confusion.get("intents") or [])]
    for slot, pairs in (confusion.get("slots") or {}).items():
        tables.append((f"Slot {slot}", "not heard", pairs))
    shown = []
    for name, nothing, pairs in tables:
        asked: dict[str, int] = defaultdict(int)
        for pair in pairs:
            asked[str(pair["expected"])] += pair["count"]
        confused = [
            {
                "expected": "not said" if pair["expected"] is None else pair["expected"],
                "got": nothing if pair["got"] is None else pair["got"],
                "count": pair["count"],
                "of": asked[str(pair["expected"])],
            }
            for pair in pairs
            if pair["expected"] != pair["got"]
        ]
        confused.sort(key=lambda pair: (-pair["count"], str(pair["expected"]), str(pair["got"])))
        if confused:
            shown.append({"name": name, "pairs": confused, "most": confused[0]["count"]})
    return shown


def _latency(latency: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name": name, **latency[key]} for key, name in LATENCIES.items() if latency.get(key)]


def _latency_chart(utterances: Sequence[Mapping[str, Any]]) -> str:
    """Of the first condition, as the figures; empty where nothing was measured."""
    found: dict[str, list[float]] = defaultdict(list)
    first = [entry for entry in utterances if entry["snr"] == utterances[0]["snr"]]
    for entry in first:
        for kind, value in (entry.get("latency_ms") or {}).items():
            if kind in charts.LATENCIES and value is not None:
                found[kind].append(float(value))
    if found["endpoint_delay"] == found["decision"]:
        del found["endpoint_delay"]  # without early commit the endpoint decides
    return charts.latency_chart(found) if any(found.values()) else ""


def _slip(number: int, slip: Slip, details: Mapping[_Name, Detail]) -> dict[str, Any]:
    entry = slip.entry
    detail = details.get((entry["path"], entry["snr"], ""))
    return {
        "entry": entry,
        "kind": slip.kind,
        "also": ", ".join(condition_name(snr) for snr in slip.also),
        "why": why(entry),
        "rows": answer_rows(entry) if slip.kind in ("wrong", "extra slots") else [],
        "audio": detail.audio() if detail else "",
        "picture": detail.picture(f"worst{number}") if detail else "",
    }


def _flat(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values for people; what is nested is named with both its names."""
    flat: list[tuple[str, str]] = []
    for key, value in facts.items():
        name = key.replace("_", " ")
        if value is None:
            continue
        if key.endswith("_hash"):
            flat.append((name, str(value)[:HASH]))
        elif isinstance(value, Mapping):
            flat += [(f"{name}: {inner}", figure(v)) for inner, v in value.items()]
        elif isinstance(value, list):
            flat.append((name, ", ".join(map(figure, value))))
        else:
            flat.append((name, figure(value)))
    return flat
