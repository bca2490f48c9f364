"""The Wyoming server: speech to text, text to intent and to action, for Home Assistant and others.

It listens at a private unix socket, or on TCP. Wyoming knows no passwords: whoever reaches the
address may use it, so addresses beyond this machine are opened only where that is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import AsyncIterator

from ..errors import UsageError
from ..program import install_line
from .sockets import Address, Listening, serve
from .streams import Streams
from .wyoming_service import Act, WyomingCounts, WyomingService

MOST_CLIENTS = 64
MOST_TURNED_AWAY = 16
"""Clients beyond `MOST_CLIENTS` that are told so at a time; more are only closed."""
SERVICE = "_wyoming._tcp.local."
"""What Home Assistant looks for with mDNS."""


class WyomingServer:
    """Serves any number of addresses with the same commands.

    Attributes:
        service: what the connections share; its `counts` are for the metrics.
    """

    def __init__(self, streams: Streams, act: Act | None, version: str) -> None:
        """act: does what a text says that a client hands over, once; None where texts are only
        understood. Nothing is ever done about audio. version: of the package, for people."""
        self.service = WyomingService(streams, act, version)
        self._listening: list[Listening] = []
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def counts(self) -> WyomingCounts:
        """What has happened so far."""
        return self.service.counts

    async def start(self, address: Address, allow_network: bool = False) -> Listening:
        """Accept clients.

        Args:
            allow_network: whether the address may be reached from other machines.

        Raises:
            UsageError: others could reach the address, it cannot be used, or the library is absent.
        """
        if not (address.is_local or allow_network):
            raise UsageError(
                f"{address}: Wyoming knows no passwords, and whoever reaches this address may "
                "give commands; use tcp://127.0.0.1:… or unix://…, or allow the network "
                "(--allow-network)"
            )
        if why := why_no_wyoming():
            raise UsageError(f"the Wyoming server cannot be opened: {why}")
        listening = await serve(address, self._accept, "the Wyoming server")
        self._listening.append(listening)
        return listening

    async def close(self) -> None:
        """Accept nobody any more, and end all connections."""
        for listening in self._listening:
            await listening.close()
        self._listening.clear()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from .wyoming_connection import WyomingConnection  # noqa: PLC0415 - needs the library

        client = asyncio.current_task()
        assert client is not None  # noqa: S101 - asyncio makes one for each connection
        connection = WyomingConnection(reader, writer, self.service)
        is_one_too_many = len(self._clients) >= MOST_CLIENTS
        self._clients.add(client)
        self.counts.connections += 1
        try:
            if not is_one_too_many:
                await connection.run()
                return
            self.counts.dropped += 1
            if len(self._clients) <= MOST_CLIENTS + MOST_TURNED_AWAY:
                text = f"{MOST_CLIENTS} clients are connected; try again later"
                await connection.turn_away(text, "busy")
            writer.transport.abort()
        except asyncio.CancelledError:
            writer.transport.abort()  # `close` waits for this task, nobody else does
        finally:
            self._clients.discard(client)
            self.counts.connections -= 1


def why_no_wyoming() -> str:
    """What keeps the server from being opened at any address; empty where nothing does."""
    try:
        import wyoming  # noqa: F401, PLC0415 - an extra
    except ImportError:
        return f"the library 'wyoming' is missing; {install_line('daemon')}"
    return ""


@contextlib.asynccontextmanager
async def discoverable(address: Address) -> AsyncIterator[None]:
    """Tell the network of the server with mDNS, which Home Assistant then offers to its user.

    Args:
        address: the server's, on TCP; its port is known.

    Raises:
        UsageError: it is no such address, or the library is absent.
    """
    if address.path is not None:
        raise UsageError(f"{address}: only a TCP address can be discovered; use tcp://…")
    try:
        from zeroconf import InterfaceChoice  # noqa: PLC0415 - an extra
        from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(f"to be discovered takes zeroconf: {install_line('discovery')}") from error
    host = await _numeric(address)
    interfaces = InterfaceChoice.All if host.is_unspecified else [str(host)]
    told = _own_address(host.version) if host.is_unspecified else host
    name = socket.gethostname().split(".")[0]
    zeroconf = AsyncZeroconf(interfaces=interfaces)
    try:
        await zeroconf.async_register_service(
            AsyncServiceInfo(
                SERVICE, f"assistant-{name}.{SERVICE}", addresses=[told.packed], port=address.port
            ),
            allow_name_change=True,  # another assistant on this machine has the first one
        )
        yield
    finally:
        await zeroconf.async_close()  # says goodbye as well


IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


async def _numeric(address: Address) -> IpAddress:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"{address}: {error.strerror or error}; check the host") from error
    return ipaddress.ip_address(found[0][4][0])


def _own_address(version: int) -> IpAddress:
    """This machine's, as the network sees it; nothing is sent to find out."""
    family, target = (
        (socket.AF_INET, "224.0.0.251") if version == 4 else (socket.AF_INET6, "ff02::fb")
    )
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((target, 5353))
        except OSError as error:
            raise UsageError(
                f"this machine has no network to be discovered in: {error.strerror or error}"
            ) from error
        return ipaddress.ip_address(probe.getsockname()[0])
