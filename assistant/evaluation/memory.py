"""What a process takes of the machine's memory."""

from __future__ import annotations

import sys


def peak_megabytes() -> float | None:
    """Resident memory of this process at most so far, in MB; None where the system tells none."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - there is none on Windows

    unit = 1 if sys.platform == "darwin" else 1024  # bytes, or kibibytes
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
