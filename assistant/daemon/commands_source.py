"""Where the daemon's commands come from: a compiled set, or a folder of command files.

Command files are compiled by a process of its own (`assistant train`), into the cache, where they
are found again as long as neither they nor what they are compiled with change.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from ..bundle_files import ACOUSTIC_WEIGHTS, CONFIG, DICTIONARIES, POSTERIOR_BANK, WAYS_HEARD
from ..errors import BundleError, ConfigError
from ..program import PROGRAM
from ..resources import cache_folder, command_files, find_bundle, find_commands

KEPT = 8
"""Compiled sets that stay in the cache."""
COMPILE_TIMEOUT_S = 900.0
COMPILED = 2
"""Raised where the same files are compiled to what must take the place of what is kept: by 2, what
must not be understood is not after a wake phrase either."""
READ_OF_BUNDLE = (CONFIG, ACOUSTIC_WEIGHTS, POSTERIOR_BANK, WAYS_HEARD)
"""What command files are compiled with, besides the dictionaries."""


class CommandsSource:
    """A command set as the configuration names it.

    A name without a separator is that of a set inside the bundle first, as the engine finds it: a
    folder that happens to be called so is passed over. `./home` names the folder.
    """

    def __init__(self, named: str, bundle: str) -> None:
        """named: a compiled set (folder or name), a command file, or a folder of them."""
        self.named = named
        self.bundle = bundle

    @property
    def files(self) -> tuple[Path, ...]:
        """The command files; none where the set is compiled already, or where there are none."""
        path = Path(self.named)
        if self._compiled_set is not None:
            return ()
        if path.is_dir():
            return command_files(path)
        return (path,) if path.suffix in (".yaml", ".yml") and path.is_file() else ()

    @property
    def watched(self) -> tuple[Path, ...]:
        """The files and folders whose change means other commands."""
        return (self._compiled_set or Path(self.named),)

    @property
    def _compiled_set(self) -> Path | None:
        """The folder of the compiled set that is named; None where there is none."""
        with contextlib.suppress(BundleError):
            return find_commands(self.named, find_bundle(self.bundle))
        return None

    async def compiled(self, tell: Callable[[str], None]) -> str:
        """The compiled set's folder or name; compiles it first where it must be.

        Args:
            tell: told, in a line, what takes long.

        Raises:
            ConfigError: the command files are wrong, with the reason.
        """
        files = self.files
        path = Path(self.named)
        if not files:
            if path.is_dir() and self._compiled_set is None:
                raise ConfigError(
                    f"{path}: neither compiled commands nor command files; put a *.yaml into it"
                )
            return self.named
        key = await asyncio.to_thread(self._key, files)
        shelf = cache_folder() / "commands"
        folder = shelf / key
        if not (folder / CONFIG).is_file():
            tell(f"compiling {self.named}")
            await self._compile(folder)
        with contextlib.suppress(OSError):
            folder.touch()  # the ones used last stay
        await asyncio.to_thread(_forget, shelf)
        return str(folder)

    def _key(self, files: tuple[Path, ...]) -> str:
        """Of what the result depends on."""
        from ..bundle import FORMAT  # noqa: PLC0415 - torch, which may be broken for the doctor

        digest = hashlib.sha256(f"{FORMAT} {COMPILED}".encode())
        bundle = find_bundle(self.bundle)
        read = [bundle / name for name in READ_OF_BUNDLE]
        for path in (*read, *sorted((bundle.parent / DICTIONARIES).glob("*.tsv"))):
            if path.is_file():
                digest.update(f"\0{path.name}\0".encode() + path.read_bytes())
        for file in files:
            try:
                digest.update(f"\0{file}\0".encode() + file.read_bytes())
            except OSError as error:
                raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
        return digest.hexdigest()[:16]

    async def _compile(self, folder: Path) -> None:
        try:
            folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with tempfile.TemporaryDirectory(prefix=".compiling-", dir=folder.parent) as made:
                output = Path(made) / "commands"
                await self._train(output)
                if not folder.exists():
                    output.rename(folder)
        except OSError as error:
            raise ConfigError(
                f"{self.named} cannot be compiled: {folder.parent}: {error.strerror}"
            ) from error

    async def _train(self, output: Path) -> None:
        process = await asyncio.create_subprocess_exec(
            *(*PROGRAM, "train", self.named, "-o", str(output), "--bundle", self.bundle),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a group, since it forks
        )
        try:
            async with asyncio.timeout(COMPILE_TIMEOUT_S):
                _, errors = await process.communicate()
        except TimeoutError as error:
            raise ConfigError(
                f"{self.named}: not compiled within {COMPILE_TIMEOUT_S:g} s; split it into smaller "
                "sets, or compile it once with 'assistant train'"
            ) from error
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            said = errors.decode(errors="replace").strip().splitlines()
            line = said[-1].removeprefix("error: ") if said else "it failed without a word"
            raise ConfigError(line)


def _forget(shelf: Path) -> None:
    """Delete what has not been used for longest, and what a compiler that was killed has left."""
    for left in shelf.glob(".compiling-*"):
        if time.time() - left.stat().st_mtime > COMPILE_TIMEOUT_S:
            shutil.rmtree(left, ignore_errors=True)
    sets = sorted(
        (folder for folder in shelf.glob("[0-9a-f]*") if folder.is_dir()),
        key=lambda folder: folder.stat().st_mtime,
        reverse=True,
    )
    for folder in sets[KEPT:]:
        shutil.rmtree(folder, ignore_errors=True)
