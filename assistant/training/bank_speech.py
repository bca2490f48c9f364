"""For the posterior bank: speech chosen from the cache, heard by the bundle, aligned; and noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..bundle import AcousticBundle
from ..grammar.phonemes import Pronunciation
from ..nn.precision import fastest
from ..types import SAMPLE_RATE, Samples
from .batches import Example, collate, like_lengths
from .feature_cache import CachedUtterance, FeatureCache
from .metrics import greedy_phonemes, phoneme_error
from .posterior_bank import Aligned, align
from .posteriors import network_of
from .rows import ROWS_PER_SECOND

NOISES = 100
"""Stretches of noise in a bank; they take a tenth of a megabyte, and five times as many teach no
more."""
NOISE_S = (1.0, 4.0)
"""Seconds of a stretch of noise."""


@dataclass(frozen=True, slots=True)
class Choice:
    """An utterance for the bank."""

    cache: FeatureCache
    utterance: CachedUtterance
    noisy: bool
    """Whether it is an augmented copy."""


def choose(
    caches: Sequence[FeatureCache], hours: float, shares: Mapping[str, float], seed: int
) -> list[Choice]:
    """Random utterances: half of the hours clean, half augmented (all clean without copies).

    Args:
        caches: the clean one, then its augmented copies.
        hours: speech chosen in all.
        shares: of the utterances of a corpus, where it is not all of them; 0 leaves a corpus out.
    """
    rng = np.random.default_rng(seed)
    chosen = []
    for number, cache in enumerate(caches):
        part = 1.0 if len(caches) == 1 else 0.5 if number == 0 else 0.5 / (len(caches) - 1)
        rows = hours * 3600 * ROWS_PER_SECOND * part
        for i in rng.permutation(len(cache.utterances)):
            utterance = cache.utterances[i]
            if not utterance.length or rng.random() >= shares.get(utterance.corpus, 1.0):
                continue
            if rows < 0:
                break
            rows -= utterance.length
            chosen.append(Choice(cache, utterance, number > 0))
    return chosen


def hear(
    bundle: AcousticBundle,
    chosen: Sequence[Choice],
    said: Mapping[str, Pronunciation],
    device: torch.device,
    worst: float,
    batch_rows: int = 4000,
) -> Iterator[list[tuple[int, Aligned | None]]]:
    """Posteriors of whole utterances at full context, aligned; a batch of like lengths at a time.

    Args:
        chosen: what is heard. said: the phonemes of every text.
        worst: phoneme error above which a text is not trusted.
        batch_rows: rows of a batch, padding included (25 rows are a second).

    Yields:
        Places in `chosen` and what was aligned there; None where the text is not trusted or does
        not fit.
    """
    model = network_of(bundle).to(device)
    ids = [bundle.phoneme_ids(said[c.utterance.text]) for c in chosen]
    for group in like_lengths([c.utterance.length for c in chosen], batch_rows):
        examples = [Example(((chosen[i].cache, chosen[i].utterance),), ids[i]) for i in group]
        batch = collate(examples, None)
        with torch.inference_mode(), fastest(device):
            log_probs = model(batch.rows.to(device), batch.lengths.to(device)).float().cpu()
        found: list[tuple[int, Aligned | None]] = []
        for i, padded, length in zip(group, log_probs, batch.lengths.tolist(), strict=True):
            heard = padded[:length].clone()
            trusted = ids[i] and phoneme_error(greedy_phonemes(heard), ids[i]).rate <= worst
            found.append((i, align(heard, ids[i], chosen[i].noisy) if trusted else None))
        yield found


def noise_stretches(noises: Sequence[Samples], seed: int) -> list[Samples]:
    """Up to `NOISES` stretches of noise, cut at random."""
    rng = np.random.default_rng(seed)
    shortest, longest = (int(seconds * SAMPLE_RATE) for seconds in NOISE_S)
    stretches: list[Samples] = []
    for noise in noises:
        ends = np.cumsum(rng.integers(shortest, longest, size=len(noise) // shortest + 1))
        stretches += np.split(noise, ends[ends < len(noise)])
    whole = [stretch for stretch in stretches if len(stretch) >= shortest]
    return [whole[i] for i in rng.permutation(len(whole))[:NOISES]]
