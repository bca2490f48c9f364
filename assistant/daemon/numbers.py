"""What the daemon counts, as metrics, and whether all is well."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from .metrics import Metric

if TYPE_CHECKING:
    from ..actions.journal import Journal
    from .control import ControlServer
    from .daemon import Daemon
    from .hub import Hub
    from .microphone import MicrophoneThread
    from .reloading import Reloader
    from .wyoming_server import WyomingServer


class Running(Protocol):
    """What is counted: a `Service`."""

    stage: str
    stages: dict[str, float]
    started: float
    log_dropped: Callable[[], int]
    hub: Hub
    journal: Journal
    control: ControlServer | None
    wyoming: WyomingServer | None
    daemon: Daemon | None
    microphone: MicrophoneThread | None
    reloader: Reloader | None


def metrics(service: Running) -> Iterator[Metric]:
    """The numbers of this moment."""
    yield Metric.of("gauge", "ready", "Whether it is ready", float(service.stage == "ready"))
    yield Metric.of(
        "gauge", "uptime_seconds", "Since the start", time.monotonic() - service.started
    )
    yield Metric(
        "start_seconds",
        "How long each stage of the start took",
        "gauge",
        {(stage,): seconds for stage, seconds in service.stages.items()},
        ("stage",),
    )
    yield Metric.of("gauge", "memory_bytes", "Resident memory", float(resident_bytes()))
    yield Metric(
        "reloads",
        "Reloads of commands and configuration",
        "counter",
        {(how,): float(n) for how, n in service.reloader.counts.items()}
        if service.reloader
        else {},
        ("outcome",),
    )
    hub = service.hub
    yield Metric.of("gauge", "subscribers", "Clients that are told events", float(hub.subscribers))
    yield Metric.of(
        "counter", "events_dropped", "Events lost by slow subscribers", float(hub.dropped)
    )
    for what, lost in (
        ("log", service.log_dropped()),
        ("journal", service.journal.dropped),
    ):
        yield Metric.of(
            "counter",
            f"{what}_dropped",
            f"Lines of the {what} that could not be written",
            float(lost),
        )
    yield from _of_clients(service)
    yield from _of_daemon(service)


def _of_clients(service: Running) -> Iterator[Metric]:
    clients: dict[tuple[str, ...], float] = {}
    if service.control is not None:
        clients["control",] = float(service.control.clients)
        yield Metric.of(
            "counter",
            "control_requests",
            "Requests of the control socket that were answered",
            float(service.control.requests),
        )
        yield Metric.of(
            "counter",
            "control_refused",
            "Lines of the control socket that were refused",
            float(service.control.refused),
        )
    if service.wyoming is not None:
        counts = service.wyoming.counts
        clients["wyoming",] = float(counts.connections)
        yield Metric(
            "wyoming_events",
            "Events from Wyoming clients",
            "counter",
            {(kind,): float(count) for kind, count in counts.events.items()},
            ("type",),
        )
        yield Metric.of(
            "counter", "wyoming_malformed", "What was no event", float(counts.malformed)
        )
        yield Metric.of(
            "counter",
            "wyoming_dropped",
            "Clients that were too many or did not read",
            float(counts.dropped),
        )
    yield Metric("clients", "Connected clients", "gauge", clients, ("server",))


def _of_daemon(service: Running) -> Iterator[Metric]:
    daemon = service.daemon
    if daemon is None:
        return
    counts = daemon.streams.counts
    batcher = daemon.streams.batcher
    for name, help_text, value in (
        ("audio_seconds", "Audio heard", counts.audio_s),
        ("audio_dropped_seconds", "Audio lost since the machine was too slow", counts.dropped_s),
        ("streams_opened", "Streams", counts.streams),
        ("stream_failures", "Streams that failed", counts.failures),
        ("batches", "Batches that the networks computed", batcher.batches),
        ("batched_steps", "Steps of single streams in them", batcher.steps),
    ):
        yield Metric.of("counter", name, help_text, float(value))
    yield Metric.of("gauge", "streams", "Streams that are open", float(daemon.streams.open))
    yield Metric(
        "utterances",
        "Utterances, by how they were decided",
        "counter",
        {(how,): float(count) for how, count in counts.utterances.items()},
        ("outcome",),
    )
    yield Metric(
        "actions",
        "Actions, by how they ended",
        "counter",
        {(status,): float(count) for status, count in daemon.actions.items()},
        ("status",),
    )
    if service.microphone is not None:
        microphone = service.microphone
        yield Metric.of(
            "gauge",
            "microphone_up",
            "Whether the microphone is heard",
            float(not microphone.problem),
        )
        for name, help_text, count in (
            ("microphone_overruns", "Blocks of the microphone that were lost", microphone.overruns),
            ("microphone_reconnects", "Times it was lost and came back", microphone.reconnects),
        ):
            yield Metric.of("counter", name, help_text, float(count))


def health(service: Running) -> Mapping[str, Any]:
    """What is well; `ok` where the daemon can do what it was started for."""
    microphone = service.microphone
    problem = microphone.problem if microphone is not None else ""
    return {
        "ok": service.stage == "ready" and not problem,
        "stage": service.stage,
        "microphone": problem or ("heard" if microphone is not None else "none"),
    }


def resident_bytes() -> int:
    """Memory of this process at the moment, or at its most where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
