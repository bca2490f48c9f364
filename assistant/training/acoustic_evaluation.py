"""Greedy phoneme error of a bundle on recordings: by corpus, by delay, in noise, in rooms.

Everything is computed from the audio: full context as the decision is, in float32, and blocks by
the very stages that stream, in bfloat16 where the processor has it.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..acoustic import AcousticScorer
from ..bundle import AcousticBundle
from ..engine import streaming_encoder
from ..features import FeatureExtractor, normalise
from ..grammar.phonemes import Phonemizer
from ..types import SAMPLE_RATE, Samples
from .augmentation import convolve, excerpt, mix, simulated_room
from .batches import like_lengths
from .manifest import Recording, read_samples
from .metrics import ErrorRate, greedy_phonemes, phoneme_error
from .posteriors import network_of

RESAMPLINGS = 1000
"""Of the bootstrap over speakers."""
BATCH_SECONDS = 60.0
"""Audio computed at a time."""
NOISE_PIECE_S = 10.0
"""Of noise in which nobody speaks: the longest piece that is heard as an utterance."""


@dataclass(frozen=True)
class Block:
    """How much is seen at a time."""

    centre: int
    """Rows of a chunk."""
    lookahead: int
    """Rows seen beyond it."""

    @property
    def delay(self) -> int:
        """Rows from the first of a chunk until it can be scored."""
        return self.centre + self.lookahead


BLOCKS = tuple(
    Block(*sizes)
    for sizes in ((16, 16), (32, 0), (8, 8), (12, 4), (16, 0), (4, 4), (8, 0), (2, 2), (4, 0))
)
"""Total delays of 1280, 640, 320 and 160 ms, with look-ahead and without."""


@dataclass(frozen=True)
class Condition:
    """What is done to a recording before it is heard, and in what blocks it is."""

    name: str
    snr_db: tuple[float, float] | None = None
    """Range of the signal-to-noise ratio; None for no noise."""
    room: bool = False
    """Whether it is heard through a simulated room."""
    block: Block | None = None
    """None for full context."""


def degrade(
    samples: Samples, condition: Condition, noises: Sequence[Samples], seed: str
) -> Samples:
    """A recording under a condition, always the same for the same seed (its path)."""
    rng = np.random.default_rng(zlib.crc32(f"{condition.name} {seed}".encode()))
    if condition.room:
        samples = convolve(samples, simulated_room(rng))
    if condition.snr_db is not None:
        noise = excerpt(noises, len(samples), rng)
        samples = mix(samples, noise, float(rng.uniform(*condition.snr_db)))
        samples = samples / max(1.0, float(np.abs(samples).max()))
    return samples


def choose(
    recordings: Sequence[Recording], speakers: set[str], at_most: int, longest: float = 20.0
) -> list[Recording]:
    """Up to `at_most` recordings a corpus of the speakers, at random but always the same."""
    by_corpus: dict[str, list[Recording]] = defaultdict(list)
    for recording in recordings:
        if recording.speaker in speakers and recording.seconds <= longest:
            by_corpus[recording.corpus].append(recording)
    rng = np.random.default_rng(0)
    chosen = []
    for _, listed in sorted(by_corpus.items()):
        chosen += [listed[i] for i in rng.permutation(len(listed))[:at_most]]
    return chosen


BySpeaker = dict[str, ErrorRate]


class Evaluator:
    """Measures a bundle."""

    def __init__(self, bundle: AcousticBundle, noises: Sequence[Samples] = ()) -> None:
        """noises: background recordings that conditions with noise draw from."""
        self.bundle, self.noises = bundle, noises
        self._phonemizer = Phonemizer(bundle.language)
        self._features = FeatureExtractor(bundle.features, bundle.encoder)
        self._network = network_of(bundle)
        self._streaming = streaming_encoder(bundle.encoder, torch.device("cpu"))

    def measure(
        self,
        recordings: Sequence[Recording],
        condition: Condition,
        advance: Callable[[float], None] = lambda seconds: None,
    ) -> BySpeaker:
        """Errors by speaker; `advance` is told the seconds of audio done after every batch."""
        found: BySpeaker = defaultdict(lambda: ErrorRate(0, 0))
        for batch in self.heard(recordings, condition):
            for recording, log_probs in batch:
                said = self._phonemizer.phonemes(recording.text)
                reference = self.bundle.phoneme_ids(said)
                found[recording.speaker] += phoneme_error(greedy_phonemes(log_probs), reference)
            advance(sum(recording.seconds for recording, _ in batch))
        return dict(found)

    def heard(
        self, recordings: Sequence[Recording], condition: Condition
    ) -> Iterator[list[tuple[Recording, Tensor]]]:
        """Recordings and their log-posteriors (T, P), those of like length at a time."""
        ordered = sorted(recordings, key=lambda r: (r.seconds, str(r.path)))
        for group in like_lengths([r.seconds for r in ordered], BATCH_SECONDS):
            batch = [ordered[i] for i in group]
            samples = [
                degrade(read_samples(r.path), condition, self.noises, r.path.name) for r in batch
            ]
            yield list(zip(batch, self.log_probs(samples, condition.block), strict=True))

    def noise_alone(self) -> dict[str, float]:
        """How many phonemes are heard in the noises themselves, and in how many minutes of them."""
        size = int(NOISE_PIECE_S * SAMPLE_RATE)
        pieces = [noise[i : i + size] for noise in self.noises for i in range(0, len(noise), size)]
        heard = sum(len(greedy_phonemes(self.log_probs([piece])[0])) for piece in pieces)
        minutes = sum(map(len, pieces)) / SAMPLE_RATE / 60
        return {"phonemes": heard, "minutes": round(minutes, 2)}

    def log_probs(self, samples: Sequence[Samples], block: Block | None = None) -> list[Tensor]:
        """Log-posteriors (T, P) of each recording, at full context or in blocks."""
        return self._at_full_context(samples) if block is None else self._streamed(samples, block)

    @torch.inference_mode()
    def _at_full_context(self, samples: Sequence[Samples]) -> list[Tensor]:
        frames = [self._features.whole(s) for s in samples]
        per_row = self.bundle.features.frames_per_row
        frames = [normalise(f, f.max()) for f in frames]
        lengths = torch.tensor([len(f) // per_row for f in frames])
        rows = torch.nn.utils.rnn.pad_sequence(frames, batch_first=True)
        rows = rows.reshape(len(frames), -1, per_row * rows.shape[2])
        found = self._network(rows, lengths)
        return [one[: int(n)].float() for one, n in zip(found, lengths, strict=True)]

    def _streamed(self, samples: Sequence[Samples], block: Block) -> list[Tensor]:
        config = replace(
            self.bundle.features, chunk_rows=block.centre, lookahead_rows=block.lookahead
        )
        features = FeatureExtractor(config, self.bundle.encoder, "cpu", self._streaming)
        acoustic = AcousticScorer(self.bundle.model)
        found = []
        for one in samples:
            chunks = [*features.feed(one), *features.flush()]
            scored = [p.log_probs for chunk in chunks for p in acoustic.feed(chunk)]
            acoustic.flush()
            found.append(torch.cat(scored))
        return found


def summary(by_speaker: Mapping[str, ErrorRate]) -> dict[str, object]:
    """The error rate, its 95 % interval by bootstrap over speakers, and what it was measured on.

    The interval of one speaker is None: nothing says how much another would differ.
    """
    counts = np.array([[r.errors, r.length] for r in by_speaker.values()])
    interval = None
    if len(counts) > 1:
        rng = np.random.default_rng(0)
        drawn = counts[rng.integers(0, len(counts), (RESAMPLINGS, len(counts)))].sum(axis=1)
        bounds = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
        interval = [round(float(bound), 4) for bound in bounds]
    errors, length = counts.sum(axis=0)
    return {
        "phoneme_error": round(float(errors / length), 4),
        "interval": interval,
        "speakers": len(counts),
        "phonemes": int(length),
    }
