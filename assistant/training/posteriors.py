"""A bundle's posteriors of cached log-mel, at full context, in caches of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..bundle import AcousticBundle
from ..errors import UsageError
from ..nn.encoded_model import EncodedAcousticModel
from ..nn.precision import fastest
from .batches import like_lengths
from .feature_cache import (
    CachedUtterance,
    FeatureCache,
    end_of,
    keep_plan,
    read_plan,
    refuse_other_rows,
    resume,
    shard_files,
    shard_number,
)
from .json_lines import as_lines

BATCH_ROWS = 1500
"""Rows computed at a time: a minute of speech."""
FEW_WORDS = {"speech_commands": 0.2, "wake_words": 0.05, "precise_community": 0.2, "grid_s1": 0.3}
"""Share taken of corpora of few words: they say little for their length."""


def network_of(bundle: AcousticBundle) -> nn.Module:
    """The bundle as one network: log-mel rows (B, T, 4 · bins), lengths (B,) to (B, T, P)."""
    if bundle.encoder is None:
        return bundle.model.eval()
    return EncodedAcousticModel(
        bundle.encoder, bundle.model, bundle.features.stack, bundle.features.left_context_rows
    ).eval()


@torch.inference_mode()
def score(
    network: nn.Module, cache: FeatureCache, utterances: Sequence[CachedUtterance]
) -> list[Tensor]:
    """Log-posteriors (T, P) of cached log-mel, in bfloat16 where the processor has it."""
    rows = [torch.from_numpy(cache.rows(u).astype(np.float32)) for u in utterances]
    lengths = torch.tensor([len(r) for r in rows])
    padded = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    with fastest():
        log_probs = network(padded, lengths).float()
    return [one[: int(n)] for one, n in zip(log_probs, lengths, strict=True)]


def extract_posteriors(
    bundle: AcousticBundle, source: Path, target: Path, rows: int, rank: int, world: int, seed: int
) -> Iterator[int]:
    """Score this process' shards of a random part of one copy, yielding the rows of each batch.

    Args:
        source: folder of a copy of log-mel. target: folder of the posteriors, with the same shards.
        rows: how many are scored, by all processes.

    Raises:
        UsageError: there is nothing in the copy, its rows are of another kind, or `target` has what
            another bundle said.
    """
    columns = bundle.features.mel_bins * bundle.features.stack * 2
    refuse_other_rows(source.parent, columns)
    cache = FeatureCache(source, columns)
    if not cache.utterances:
        raise UsageError(f"{source}: no features; run scripts/extract_features.py first")
    _refuse_another_bundle(target.parent, bundle, rank)
    network = network_of(bundle)
    every = sum(u.length for u in cache.utterances)
    for shard in sorted({u.shard for u in cache.utterances}):
        number = shard_number(shard)
        if number % world == rank:
            share = [u for u in cache.utterances if u.shard == shard]
            budget = rows * sum(u.length for u in share) // every
            chosen = _draw(share, budget, np.random.default_rng([seed, rank]))
            yield from _score_shard(bundle, network, cache, chosen, target, number)


def refuse_other_teacher(folder: Path, phonemes: Sequence[str]) -> None:
    """Posteriors over other phonemes would be read as rows of another width.

    Raises:
        UsageError: they are over others than `phonemes`.
    """
    plan = read_plan(folder)
    if not plan:
        return
    if "phonemes" not in plan:
        raise UsageError(f"{folder}: holds no posteriors; scripts/extract_posteriors.py makes them")
    if plan["phonemes"] != list(phonemes):
        raise UsageError(
            f"{folder}: its posteriors are over other phonemes; name with --teacher-bundle the "
            "bundle that made them"
        )


def _refuse_another_bundle(folder: Path, bundle: AcousticBundle, rank: int) -> None:
    if not read_plan(folder) and any(folder.glob("*/index-*.jsonl")):
        raise UsageError(
            f"{folder}: does not say which bundle it is of; give another --output, or remove it"
        )
    plan = {"bundle": bundle.hash, "phonemes": list(bundle.phonemes)}
    if keep_plan(folder, plan, rank) != plan:
        raise UsageError(
            f"{folder}: holds what another bundle said; give another --output, or remove it"
        )


def _score_shard(
    bundle: AcousticBundle,
    network: nn.Module,
    cache: FeatureCache,
    chosen: list[CachedUtterance],
    target: Path,
    number: int,
) -> Iterator[int]:
    target.mkdir(parents=True, exist_ok=True)
    index, shard = shard_files(target, number)
    done = resume(index, shard, len(bundle.phonemes))
    next_row = end_of(done)
    finished = {entry["place"] for entry in done}
    with shard.open("ab") as written, index.open("a", encoding="utf-8") as lines:
        missing = [u for u in chosen if u.place not in finished]
        for group in like_lengths([u.length for u in missing], BATCH_ROWS):
            batch = [missing[i] for i in group]
            entries = []
            for utterance, log_probs in zip(batch, score(network, cache, batch), strict=True):
                # What is less likely than 1e-6 teaches nothing, and float16 ends near there.
                written.write(log_probs.clamp(min=-14).to(torch.float16).numpy().tobytes())
                entry = asdict(utterance) | {"start": next_row}
                del entry["shard"]
                entries.append(entry)
                next_row += utterance.length
            written.flush()  # before the index, which must not name what is not there
            lines.write(as_lines(entries))
            lines.flush()
            yield sum(u.length for u in batch)


def _draw(
    utterances: Sequence[CachedUtterance], rows: int, rng: np.random.Generator
) -> list[CachedUtterance]:
    chosen = []
    for i in rng.permutation(len(utterances)):
        utterance = utterances[i]
        if rng.random() > FEW_WORDS.get(utterance.corpus, 1.0):
            continue
        if rows <= 0:
            break
        rows -= utterance.length
        chosen.append(utterance)
    return chosen
