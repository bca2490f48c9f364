"""Pictures of what grows: streams in a batch, length of an utterance, number of commands.

Dark ink on white paper, so that they can be read on a dark page as well.
"""

# ruff: noqa: PLC0415 - matplotlib is an extra, and slow to load

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import UsageError
from ...program import install_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, GRID = "#222222", "#d8d8d8"
COLOURS = ("#2a6f97", "#e07a1f", "#5b8c5a", "#8a4f7d", "#c1121f", "#7a7a7a")
FORMATS = ("svg", "png")


def require_matplotlib() -> None:
    """Refuse what could not be drawn, before anything is measured.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise UsageError(f"--plots needs matplotlib: {install_line('picture')}") from error


def draw(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """Draw the parts that have a picture into `folder`, as SVG and PNG; returns the files."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    written = []
    style: Any = {
        "svg.hashsalt": "benchmark",
        **dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor"), INK),
        **dict.fromkeys(("xtick.color", "ytick.color"), INK),
    }
    for part, (panels, paint) in _PICTURES.items():
        if part not in found or not any(found[part].get(key) for key in ("rows", "runs")):
            continue
        with mpl.rc_context(style):
            figure = Figure(figsize=(5.2 * panels, 3.8), layout="constrained", facecolor="white")
            paint([*figure.subplots(1, panels, squeeze=False)[0]], found[part])
            for form in FORMATS:
                path = folder / f"{part}.{form}"
                metadata = {"Date": None} if form == "svg" else None
                figure.savefig(path, dpi=120, format=form, metadata=metadata)
                written.append(path)
    return written


def _streams(axes: Sequence[Axes], figures: Mapping[str, Any]) -> None:
    """Load against the streams in the batch; below 1 it is real time."""
    (axis,) = axes
    for run, colour in zip(figures["runs"], COLOURS * len(figures["runs"]), strict=False):
        rows = [row for row in run["batches"] if "step_ms" in row]
        label = f"{run['where']}, {run['said_seconds']:.1f} s said: {run['held']} held"
        axis.plot(
            [row["streams"] for row in rows],
            [row["load"] for row in rows],
            marker="o",
            markersize=4,
            color=colour,
            label=label,
        )
    axis.axhline(1, color=INK, linewidth=0.9, linestyle="--")
    axis.set(xscale="log", yscale="log", xlabel="streams in one batch")
    axis.set(ylabel="step time / time of a chunk", title="Real time is below the dashed line")
    _finish(axis)


def _length(axes: Sequence[Axes], figures: Mapping[str, Any]) -> None:
    """What a decision's time is made of, against the length of the utterance."""
    (axis,) = axes
    rows = figures["rows"]
    lengths = [row["seconds"] for row in rows]
    stages = list(rows[0]["mean_ms_by_stage"])
    values = [[row["mean_ms_by_stage"][stage] for row in rows] for stage in stages]
    axis.stackplot(lengths, values, labels=stages, colors=COLOURS, alpha=0.75)
    median = [row["decision_ms"]["p50"] for row in rows]
    axis.plot(lengths, median, color=INK, marker="o", markersize=4, label="median, all")
    axis.set(xlabel="seconds of an utterance", ylabel="ms", title="End of speech to decision")
    axis.set(xlim=(min(lengths), max(lengths)), ylim=(0, None))
    _finish(axis)


def _commands(axes: Sequence[Axes], figures: Mapping[str, Any]) -> None:
    """Decision, compiling and memory against the number of sentences."""
    rows = figures["rows"]
    sentences = [row["sentences"] for row in rows]
    deciding, compiling, memory = axes
    for name, label, colour in (
        ("decision_ms", "decision", COLOURS[0]),
        ("partial_ms", "partial hypothesis of a chunk", COLOURS[1]),
    ):
        values = [row[name]["p50"] for row in rows]
        deciding.plot(sentences, values, marker="o", markersize=4, color=colour, label=label)
    deciding.set(ylabel="ms, median", title="Deciding")
    for step, colour in zip(rows[0]["compiling_seconds"], COLOURS, strict=False):
        values = [row["compiling_seconds"][step] for row in rows]
        compiling.plot(sentences, values, marker="o", markersize=4, color=colour, label=step)
    compiling.set(ylabel="seconds", title="Compiling and reading")
    for name, label, colour in (
        ("memory_mb", "compiled", COLOURS[0]),
        ("peak_memory_mb", "at most", COLOURS[1]),
    ):
        values = [float("nan") if row[name] is None else row[name] for row in rows]
        memory.plot(sentences, values, marker="o", markersize=4, color=colour, label=label)
    memory.set(ylabel="MB beyond the bundle", title="Memory")
    for axis in axes:
        axis.set(xscale="log", yscale="log", xlabel="sentences, written out")
        _finish(axis)


def _finish(axis: Axes) -> None:
    """Numbers as people write them, a grid, a legend."""
    for scale, of_axis in ((axis.get_xscale(), axis.xaxis), (axis.get_yscale(), axis.yaxis)):
        of_axis.set_major_formatter("{x:,g}")
        if scale == "log":
            of_axis.set_minor_formatter("")
    axis.grid(True, color=GRID, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize="small")


Paint = Callable[[Sequence["Axes"], Any], None]
_PICTURES: dict[str, tuple[int, Paint]] = {
    "streams": (1, _streams),
    "length": (1, _length),
    "commands": (3, _commands),
}
"""By part: how many panels its picture has, and who paints them."""
