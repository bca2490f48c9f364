"""Feed hours of audio through the daemon as fast as it takes it, and see that nothing is lost.

    python scripts/soak_daemon.py tests/data/recordings/coffee --hours 2 --clients 8

Clients of the Wyoming protocol say the recordings over and over, each from another one on. Every
answer must come, and be what the same recording gives alone; the daemon's memory is looked at all
the while. Ends with 1 where an answer is missing or another one.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncUnixClient

from assistant.config import AssistantConfig
from assistant.engine import Engine
from assistant.recording import read_file
from assistant.types import SAMPLE_RATE, Recognised

CHUNK = 1600
"""Samples of an audio chunk."""
SAMPLE_S = 5.0
"""Seconds between looks at the memory."""
ANSWER_S = 120.0
"""Seconds an answer may take."""


@dataclass
class Outcome:
    """What the clients have seen."""

    audio_s: float = 0.0
    asked: int = 0
    same: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)
    """Seconds of audio so far, and MiB."""


def main(
    recordings: Annotated[Path, typer.Argument(help="A folder of recordings.")],
    hours: Annotated[float, typer.Option(help="Audio in all.")] = 2.0,
    clients: Annotated[int, typer.Option(help="At a time.")] = 8,
    commands: Annotated[str, typer.Option(metavar="NAME|DIR")] = "coffee",
    bundle: Annotated[str, typer.Option(metavar="NAME|DIR")] = "en-us",
    limit: Annotated[int, typer.Option(help="Recordings used at most.")] = 60,
    output: Annotated[Path | None, typer.Option("--json", help="Where figures go.")] = None,
) -> None:
    """Soak the daemon."""
    files = sorted(p for p in recordings.rglob("*") if p.suffix in (".flac", ".wav"))[:limit]
    if not files:
        raise typer.BadParameter(f"{recordings}: no recordings (.flac, .wav)")
    sounds = [read_file(file).whole() for file in files]
    expected = alone(sounds, bundle, commands)
    outcome, seconds = asyncio.run(soak(sounds, expected, hours, clients, bundle, commands))
    found = figures(outcome, seconds, clients)
    print(json.dumps(found, indent=1))
    if output is not None:
        output.write_text(json.dumps({**found, "memory": outcome.memory}, indent=1) + "\n")
    sys.exit(0 if outcome.asked == outcome.same else 1)


def alone(sounds: Sequence[np.ndarray], bundle: str, commands: str) -> list[str]:
    """What each recording is understood as, by a pipeline of its own."""
    engine = Engine.load(AssistantConfig(bundle=bundle, commands=commands, device="cpu"))
    texts = []
    for sound in sounds:
        pipeline = engine.pipeline()
        events = [*pipeline.feed(sound), *pipeline.flush()]
        texts.append(" ".join(e.intent.text for e in events if isinstance(e, Recognised)))
    return texts


async def soak(
    sounds: Sequence[np.ndarray],
    expected: Sequence[str],
    hours: float,
    clients: int,
    bundle: str,
    commands: str,
) -> tuple[Outcome, float]:
    """Start a daemon, let the clients speak, stop it."""
    with tempfile.TemporaryDirectory() as folder:
        variables = ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CACHE_HOME")
        daemon = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "assistant", "serve", "--no-microphone", "--dry-run"),
            *("--bundle", bundle, "--commands", commands, "--device", "cpu"),
            env={**os.environ, **dict.fromkeys(variables, folder)},
        )
        socket = Path(folder) / "assistant" / "wyoming.sock"
        outcome = Outcome()
        try:
            while not socket.exists():
                if daemon.returncode is not None:
                    sys.exit("the daemon did not start")
                await asyncio.sleep(0.1)
            looking = asyncio.create_task(look(daemon.pid, outcome))
            begin = time.monotonic()
            with progress() as bar:
                task = bar.add_task("", total=hours * 3600)
                await asyncio.gather(
                    *(
                        client(socket, sounds, expected, number * 7, hours, outcome, bar, task)
                        for number in range(clients)
                    )
                )
            seconds = time.monotonic() - begin
            looking.cancel()
        finally:
            if daemon.returncode is None:
                daemon.terminate()
                await asyncio.wait_for(daemon.wait(), 30)
    return outcome, seconds


async def client(
    socket: Path,
    sounds: Sequence[np.ndarray],
    expected: Sequence[str],
    first: int,
    hours: float,
    outcome: Outcome,
    bar: Progress,
    task: object,
) -> None:
    """One client, which says one recording after the other."""
    number = first
    async with AsyncUnixClient(socket) as connection:
        while outcome.audio_s < hours * 3600:
            number = (number + 1) % len(sounds)
            pcm = (np.clip(sounds[number], -1, 1) * 32767).round().astype("<i2")
            outcome.audio_s += len(pcm) / SAMPLE_RATE
            outcome.asked += 1
            await connection.write_event(Transcribe().event())
            form = {"rate": SAMPLE_RATE, "width": 2, "channels": 1}
            await connection.write_event(AudioStart(**form).event())
            for at in range(0, len(pcm), CHUNK):
                chunk = AudioChunk(**form, audio=pcm[at : at + CHUNK].tobytes())
                await connection.write_event(chunk.event())
            await connection.write_event(AudioStop().event())
            text = await asyncio.wait_for(transcript(connection), ANSWER_S)
            if text == expected[number]:
                outcome.same += 1
            else:
                outcome.wrong[f"{expected[number]!r} became {text!r}"] += 1
            bar.update(task, completed=outcome.audio_s)  # type: ignore[arg-type]


async def transcript(connection: AsyncUnixClient) -> str | None:
    """The next one; None where the connection ends first."""
    while (event := await connection.read_event()) is not None:
        if Transcript.is_type(event.type):
            return Transcript.from_event(event).text
    return None


async def look(process: int, outcome: Outcome) -> None:
    """Note the memory of a process, again and again."""
    while True:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
        mebibytes = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
        outcome.memory.append((round(outcome.audio_s, 1), round(mebibytes, 1)))
        await asyncio.sleep(SAMPLE_S)


def figures(outcome: Outcome, seconds: float, clients: int) -> dict[str, object]:
    """For people and programs; growth: from the second quarter of the audio to the last one."""
    quarters = np.array_split(np.array([mebibytes for _, mebibytes in outcome.memory]), 4)
    return {
        "clients": clients,
        "audio_hours": round(outcome.audio_s / 3600, 3),
        "seconds": round(seconds, 1),
        "times_real_time": round(outcome.audio_s / seconds, 1),
        "utterances": outcome.asked,
        "as_alone": outcome.same,
        "otherwise": dict(outcome.wrong.most_common(10)),
        "memory_mib_by_quarter": [
            round(float(np.mean(q)), 1) if len(q) else None for q in quarters
        ],
    }


def progress() -> Progress:
    """A bar on standard error's terminal."""
    return Progress(BarColumn(), TextColumn("{task.percentage:.0f} %"), TimeRemainingColumn())


if __name__ == "__main__":
    typer.run(main)
