"""Metrics for Prometheus and health over HTTP: `/metrics` and `/health`.

Other machines reach them only where that is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import AssistantError, UsageError
from ..program import install_line
from .sockets import Address, Listening, serve

REQUEST_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Metric:
    """A number or several with labels. kind: counter or gauge; values: by the labels' values."""

    name: str
    help: str
    kind: str
    values: Mapping[tuple[str, ...], float]
    labels: tuple[str, ...] = ()

    @classmethod
    def of(cls, kind: str, name: str, help_text: str, value: float) -> Metric:
        """One without labels."""
        return cls(name, help_text, kind, {(): value})


Collect = Callable[[], Iterator[Metric]]
Health = Callable[[], Mapping[str, Any]]
"""What is well; `ok` says whether all of it is."""


@dataclass
class MetricsServer:
    """Answers scrapes."""

    collect: Collect
    health: Health

    async def start(self, address: Address, allow_network: bool = False) -> Listening:
        """Answer at an address.

        Args:
            allow_network: whether the address may be reached from other machines.

        Raises:
            AssistantError: others could reach the address, it cannot be used, or prometheus-client
                is missing.
        """
        if not (address.is_local or allow_network):
            raise UsageError(
                f"{address}: whoever reaches this address may read what the assistant counts; use "
                "tcp://127.0.0.1:…, or allow the network (--allow-network)"
            )
        self.text()  # so that a library that is missing is told now
        return await serve(address, self._accept, "the metrics server")

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        try:
            from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415
        except ImportError as error:
            raise AssistantError(
                f"metrics need prometheus-client: {install_line('daemon')}"
            ) from error
        registry = CollectorRegistry()
        registry.register(_Collector(self.collect))
        return generate_latest(registry)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(self._response(head.split(b"\r\n", 1)[0].decode("ascii", "replace")))
                await writer.drain()
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # no request, or nobody who waits for the answer
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _response(self, request: str) -> bytes:
        method, _, rest = request.partition(" ")
        path = rest.split(" ", 1)[0].split("?", 1)[0]
        kind = "text/plain; version=0.0.4; charset=utf-8"
        if method not in ("GET", "HEAD"):
            status, body = "405 Method Not Allowed", b"GET\n"
        elif path == "/metrics":
            status, body = "200 OK", self.text()
        elif path == "/health":
            health = self.health()
            status = "200 OK" if health.get("ok") else "503 Service Unavailable"
            kind, body = "application/json", json.dumps(health).encode() + b"\n"
        else:
            status, body = "404 Not Found", b"/metrics and /health\n"
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        return f"{head}Connection: close\r\n\r\n".encode() + (body if method != "HEAD" else b"")


class _Collector:
    """As prometheus-client asks for metrics."""

    def __init__(self, collect: Collect) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import (  # noqa: PLC0415
            CounterMetricFamily,
            GaugeMetricFamily,
        )

        for metric in self._collect():
            family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            made = family(f"assistant_{metric.name}", metric.help, labels=metric.labels)
            for labels, value in metric.values.items():
                made.add_metric(labels, value)
            yield made
