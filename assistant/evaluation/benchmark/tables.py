"""The figures as tables for people, a part each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rich.table import Table

Figures = Mapping[str, Any]


def tables(found: Figures) -> Iterator[Table]:
    """Those of all parts that were measured, in their order."""
    for part, make in _PARTS.items():
        if part in found:
            yield from make(found[part])


def _table(title: str, first: str, *columns: str, caption: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _compute(figures: Figures) -> Iterator[Table]:
    title = f"compute, {figures['audio_seconds']} s of speech"
    table = _table(title, "stage", "share of real time")
    for stage, share in figures["compute_per_second_of_speech"].items():
        table.add_row(stage, f"{share:.2%}")
    table.add_row("all while someone speaks (streaming)", f"{figures['streaming']:.2%}")
    table.add_row("all at the end (full context)", f"{figures['full_context']:.2%}")
    table.add_row("all, while someone speaks", f"{figures['total_speech']:.2%}", style="bold")
    table.add_section()
    for stage, share in figures["compute_per_second_of_silence"].items():
        table.add_row(f"silence: {stage}", f"{share:.3%}")
    table.add_row("all, in silence", f"{figures['total_silence']:.3%}", style="bold")
    yield table
    times = {
        "a block of 20 ms, fed": figures["feed_ms"],
        "end of speech to decision": figures["end_of_speech_to_decision_ms"],
    }
    yield _percentiles("times of calls, whole recordings", times)


def _percentiles(title: str, rows: Mapping[str, Figures], caption: str | None = None) -> Table:
    names = ("n", "p50", "p95", "p99", "max")
    table = _table(title, "what", "calls", *(f"{name}, ms" for name in names[1:]), caption=caption)
    for what, values in rows.items():
        table.add_row(what, str(values["n"]), *(f"{values[name]:.2f}" for name in names[1:]))
    return table


def _latency(figures: Figures) -> Iterator[Table]:
    by_kind = figures["by_what_happened"]
    rows = {kind: values["call_ms"] for kind, values in by_kind.items()}
    beyond = f"{figures['share_beyond_a_block']:.2%} of all calls take longer than a block"
    yield _percentiles(
        f"latency of feeding {figures['block_ms']:g} ms, by what happens in it", rows, beyond
    )
    late = {kind: values["late_ms"] for kind, values in by_kind.items()}
    yield _percentiles("how late it is done, blocks coming as from a microphone", late)


def _start_up(figures: Figures) -> Iterator[Table]:
    title = f"start-up in a fresh process, median of {figures['runs']}"
    table = _table(title, "stage", "seconds", "MB after it")
    for stage in figures["stages"]:
        megabytes = stage.get("resident_mb")
        table.add_row(
            stage["stage"],
            f"{stage['seconds']:.3f}",
            "" if megabytes is None else f"{megabytes:.0f}",
        )
    table.add_row("all, ready to listen", f"{figures['ready_seconds']:.3f}", "", style="bold")
    table.add_row("all, to the first decision", f"{figures['first_decision_seconds']:.3f}", "")
    yield table


def _memory(figures: Figures) -> Iterator[Table]:
    growth = figures["growth_mb_per_100_utterances"]
    caption = None
    if growth is not None:
        caption = f"growth over the second half: {growth:+.2f} MB in 100 utterances"
    table = _table("memory of a fresh process", "utterances", "resident, MB", caption=caption)
    table.add_row("none: just started", _number(figures["after_start_mb"]))
    for utterances, megabytes in figures["resident_mb"].items():
        table.add_row(utterances, _number(megabytes))
    table.add_row("at most", _number(figures["peak_mb"]), style="bold")
    yield table


def _streams(figures: Figures) -> Iterator[Table]:
    for run in figures["runs"]:
        yield _batches(run)
    table = _table(
        "streams held in real time, one batch", "where", "said so far, s", "streams", "limit"
    )
    for run in figures["runs"]:
        bound = "" if run["limited_by"] == "time" else "at least "
        row = (run["where"], f"{run['said_seconds']:.1f}", f"{bound}{run['held']}")
        table.add_row(*row, run["limited_by"], style="bold")
    yield table


def _batches(run: Figures) -> Table:
    title = (
        f"{run['where']}, {run['said_seconds']:.1f} s said so far, chunks of {run['chunk_ms']:g} ms"
    )
    table = _table(title, "streams", "step p50, ms", "p95, ms", "load", "held")
    left_out = ""
    for row in run["batches"]:
        if "left_out" in row:
            left_out = f"{row['streams']} streams left out: {row['left_out']}"
            continue
        step = row["step_ms"]
        held = "yes" if row["held"] else "no"
        cells = (f"{step['p50']:.1f}", f"{step['p95']:.1f}", f"{row['load']:.2f}", held)
        table.add_row(str(row["streams"]), *cells)
    state = f"a stream's state: {run['state_mb_per_stream']:.1f} MB"
    table.caption = "\n".join(filter(None, [state, left_out]))
    return table


def _length(figures: Figures) -> Iterator[Table]:
    rows = figures["rows"]
    table = _table(
        "growth with an utterance's length", "seconds", *(f"{row['seconds']:g}" for row in rows)
    )
    shares = (f"{row['streaming_per_second']:.2%}" for row in rows)
    table.add_row("streaming, share of real time", *shares)
    for name in ("p50", "p95"):
        _figures(table, f"decision {name}, ms", (row["decision_ms"][name] for row in rows))
    for stage in rows[0]["mean_ms_by_stage"]:
        means = (row["mean_ms_by_stage"][stage] for row in rows)
        _figures(table, f"{stage}, mean ms", means)
    yield table


def _commands(figures: Figures) -> Iterator[Table]:
    rows = figures["rows"]
    if not rows:
        yield _table("growth with the number of commands", f"left out: {figures['left_out']}")
        return
    seconds = rows[0]["audio_seconds_per_decision"]
    table = _table(
        f"growth with the number of commands; decisions on {seconds} s of speech",
        "sentences",
        *(f"{row['sentences']:,}" for row in rows),
        caption=f"LSTM {rows[0]['lstm']}; decision: without encoder and acoustic model",
    )
    table.add_row("states of the graph", *(f"{row['graph_states']:,}" for row in rows))
    for step in rows[0]["compiling_seconds"]:
        _figures(table, f"{step}, s", (row["compiling_seconds"][step] for row in rows), 2)
    _figures(table, "partial p50, ms", (row["partial_ms"]["p50"] for row in rows))
    for name in ("p50", "p95"):
        _figures(table, f"decision {name}, ms", (row["decision_ms"][name] for row in rows))
    _figures(table, "memory, MB", (row["memory_mb"] for row in rows))
    _figures(table, "memory at most, MB", (row["peak_memory_mb"] for row in rows))
    yield table


def _figures(table: Table, what: str, values: Iterable[float | None], digits: int = 1) -> None:
    """A row of numbers; empty where there is none."""
    table.add_row(what, *("" if value is None else f"{value:.{digits}f}" for value in values))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}"


_PARTS: dict[str, Callable[[Any], Iterator[Table]]] = {
    "compute": _compute,
    "latency": _latency,
    "start-up": _start_up,
    "memory": _memory,
    "streams": _streams,
    "length": _length,
    "commands": _commands,
}
