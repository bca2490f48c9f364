"""Addresses of the daemon's servers, and unix sockets that are private and replace no live one."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import ipaddress
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import UsageError
from .ctl import default_folder

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LINE_LIMIT = 65_536
"""Bytes of a line at most."""


def runtime_folder() -> Path:
    """Where sockets lie, as `assistant ctl` looks for them."""
    return Path(default_folder())


@dataclass(frozen=True, slots=True)
class Address:
    """Of a server: a unix socket's path, or host and port."""

    path: Path | None = None
    host: str = ""
    port: int = 0

    @classmethod
    def of(cls, uri: str) -> Address:
        """An address as people write it: unix:///run/user/1000/x.sock or tcp://127.0.0.1:10300.

        Raises:
            UsageError: it is neither.
        """
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            raise UsageError(f"{uri}: {error}; write tcp://127.0.0.1:10300") from error
        if parts.scheme == "unix" and parts.path and not host:
            return cls(path=Path(parts.path))
        if parts.scheme == "tcp" and host and port is not None:
            return cls(host=host, port=port)
        raise UsageError(f"{uri}: no address; write unix:///path/of.sock or tcp://127.0.0.1:10300")

    @property
    def is_local(self) -> bool:
        """Whether nobody beyond this machine can reach it."""
        if self.path is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        if self.path is not None:
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"


@dataclass
class Listening:
    """A server that accepts connections.

    address: where, with the port that was given to port 0. file: which one a unix socket's is.
    """

    server: asyncio.Server
    address: Address
    file: tuple[int, int] | None = None

    async def close(self) -> None:
        """Accept no more; the socket's file goes, if it is still this server's."""
        self.server.close()
        path = self.address.path
        if path is not None:
            with contextlib.suppress(OSError):
                if _identity(path) == self.file:
                    path.unlink()


async def serve(address: Address, accept: Serve, what: str) -> Listening:
    """Accept connections; a unix socket is its owner's alone (0600, in a folder of 0700).

    A file that a dead daemon has left is replaced.

    Args:
        accept: what is done with each connection, on a task of its own.
        what: the server for people, such as "the control socket".

    Raises:
        UsageError: another process serves there, or the address cannot be used.
    """
    try:
        if address.path is None:
            server = await asyncio.start_server(
                accept, address.host, address.port, limit=LINE_LIMIT
            )
            port = server.sockets[0].getsockname()[1]
            return Listening(server, Address(host=address.host, port=port))
        with _alone_in(address.path.parent):
            _clear(address.path, what)
            bound = _bound(address.path)
            file = _identity(address.path)
        server = await asyncio.start_unix_server(accept, sock=bound, limit=LINE_LIMIT)
    except OSError as error:
        raise UsageError(
            f"{what} cannot be opened at {address}: {error.strerror or error}; "
            "choose another address, or stop what uses it"
        ) from error
    return Listening(server, address, file)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Two daemons that start at once take turns, so that neither clears the other's socket."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _bound(path: Path) -> socket.socket:
    """A unix socket that was private from its first moment on."""
    bound = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        bound.bind(str(path))
        bound.listen()  # from now on whoever looks finds it alive
    except BaseException:
        bound.close()
        raise
    finally:
        os.umask(before)
    return bound


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _clear(path: Path, what: str) -> None:
    """Make room for a socket: its folder is there, and what lies there is nobody's."""
    owner = path.parent.stat()
    if owner.st_uid not in (os.getuid(), 0):
        raise UsageError(f"{path.parent} belongs to another user; set XDG_RUNTIME_DIR")
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise UsageError(f"{path} is no socket; remove it, or choose another place for {what}")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except OSError as error:
            if error.errno not in (errno.ECONNREFUSED, errno.ENOENT):
                raise
        else:
            raise UsageError(
                f"an assistant serves at {path} already; 'assistant ctl status' shows it, "
                "'assistant ctl stop' ends it"
            )
    path.unlink(missing_ok=True)
