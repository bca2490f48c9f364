"""The machine that is measured on, and what memory it has left.

Reads Linux's own files where there are any; elsewhere what cannot be told is None.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

from ...training.machine import processor

GROUP = Path("/sys/fs/cgroup")
"""Where a container's limits are (cgroup v2)."""


def cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def description() -> dict[str, Any]:
    """What figures depend on; the load is that of the last minute, before anything was measured."""
    total = _kilobytes(Path("/proc/meminfo"), "MemTotal")
    return {
        "processor": processor(),
        "cores": cores(),
        "memory_mb": round(total / 1024) if total else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.release()}",
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "torch": torch.__version__.partition("+")[0],
    }


def resident_mb() -> float | None:
    """Megabytes (2^20 bytes) of this process in memory now."""
    resident = _kilobytes(Path("/proc/self/status"), "VmRSS")
    return round(resident / 1024, 1) if resident else None


def peak_mb() -> float | None:
    """Most megabytes of this process in memory so far, or since `forget_peak`.

    Linux's own figure where there is one: what `getrusage` tells there, a process inherits from the
    one that started it.
    """
    if peak := _kilobytes(Path("/proc/self/status"), "VmHWM"):
        return round(peak / 1024, 1)
    try:
        import resource  # noqa: PLC0415 (there is none on Windows)
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def forget_peak() -> bool:
    """Let `peak_mb` begin at what is in memory now; False where the system cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        return False
    return True


def free_bytes(device: torch.device) -> int | None:
    """Bytes that may still be taken: of the GPU, or of the machine or its container."""
    if device.type == "cuda":
        free: int = torch.cuda.mem_get_info(device)[0]
        return free
    available = _kilobytes(Path("/proc/meminfo"), "MemAvailable")
    if not available:
        return None
    free = available * 1024
    try:
        limit = (GROUP / "memory.max").read_text(encoding="utf-8").strip()
        used = int((GROUP / "memory.current").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return free
    return free if limit == "max" else min(free, max(0, int(limit) - used))


def _kilobytes(path: Path, key: str) -> int | None:
    """The value of a line `key: 123 kB`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = [line for line in lines if line.startswith(f"{key}:")]
    return int(found[0].split()[1]) if found else None
