"""What a fresh process measures, asked for and answered in JSON.

    python -m assistant.evaluation.benchmark.child start-up '{"bundle": "en-us", …}'

`PYTHONHASHSEED` and the like stay as they are. Torch is not imported before it is measured.
"""

# ruff: noqa: PLC0415 - imported by what needs it, see above

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def answer(what: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Measure `what`; `core_share` is the share of a core that the process got meanwhile.

    Raises:
        ValueError: there is nothing of that name.
    """
    entered = time.time()
    spawned = arguments.pop("spawned", entered)
    begin, processor = time.perf_counter(), time.process_time()
    files = [Path(file) for file in arguments.pop("files")]
    found: dict[str, Any]
    if what == "start-up":
        from .startup import start_up

        found = start_up(files[0], **arguments)
        first = {"stage": "start Python", "seconds": round(entered - spawned, 4)}
        found["stages"].insert(0, first)
    elif what == "memory":
        from .startup import memory

        found = memory(files, **arguments)
    elif what == "commands":
        from .growth import with_commands

        found = with_commands(files=files, **arguments)
    else:
        raise ValueError(what)
    share = (time.process_time() - processor) / (time.perf_counter() - begin)
    return {**found, "core_share": round(share, 3)}


if __name__ == "__main__":
    from ...errors import AssistantError

    try:
        found = answer(sys.argv[1], json.loads(sys.argv[2]))
    except AssistantError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
    sys.stdout.write(json.dumps(found) + "\n")
