"""Pictures of training, drawn from its log."""

from __future__ import annotations

import csv
from pathlib import Path


def plot_log(log: Path) -> Path | None:
    """Draw loss and held-out phoneme error over updates beside the log, as `log.png`.

    Returns:
        The picture's path; None where matplotlib (the `train` extra) is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - only training needs it
    except ImportError:
        return None
    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415 - the backend is chosen before

    with log.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    updates = [int(row["update"]) for row in rows]
    corpora = [c for c in rows[0] if c not in ("update", "loss", "audio_per_second")]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    left.plot(updates, [float(row["loss"]) for row in rows], color="tab:gray")
    left.set(xlabel="update", ylabel="CTC loss a phoneme", ylim=(0, None))
    for corpus in corpora:
        right.plot(updates, [float(row[corpus]) for row in rows], label=corpus)
    right.set(xlabel="update", ylabel="phoneme error, held-out speakers", ylim=(0, None))
    if corpora:
        right.legend(fontsize="small", frameon=False)
    path = log.with_suffix(".png")
    figure.savefig(path, dpi=120)
    plt.close(figure)
    return path
