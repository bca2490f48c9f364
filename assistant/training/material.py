"""Cached features and the phonemes that were said: what an acoustic model learns from."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import UsageError
from ..grammar.phonemes import Phonemizer, Pronunciation
from .batches import Example, RowSource
from .feature_cache import CachedUtterance, FeatureCache, refuse_other_rows
from .manifest import family, refuse_unknown
from .posteriors import refuse_other_teacher

RAREST = 20
"""Occurrences below which a phoneme is left out by default: too few to learn it from."""
TAUGHT = 2 / 3
"""Share of the draws that copies with a teacher have, where others of the utterance have none."""


@dataclass(frozen=True)
class Material:
    """What is learnt and what is measured on."""

    training: list[Example]
    held_out: dict[str, list[Example]]
    """By family of corpora, in random order."""
    speakers: list[str]
    """Who is held out."""
    inventory: list[str]
    """Names of the posteriors' columns; the first is the blank."""


def read_material(
    folder: Path,
    columns: int,
    language: str,
    inventory: Sequence[str] = (),
    draws: Mapping[str, float] | None = None,
    rarest: int = RAREST,
    teacher: Path | None = None,
    apart: Sequence[str] = (),
    unlabelled: bool = False,
) -> Material:
    """The caches below `folder`, with phonemes in the place of text.

    Args:
        columns: width of a row.
        language: espeak-ng's name of it.
        inventory: names of the columns; by default every phoneme that is not rare.
        draws: times an utterance is drawn in a pass, by what its corpus' name begins with.
        rarest: occurrences in the training texts below which a phoneme is left out.
        teacher: folder of a teacher's posteriors over `inventory`, made from the same caches; what
            it has not heard is learnt from the text alone.
        apart: corpora measured by themselves, not with their family.
        unlabelled: keep what has no text, for a teacher that listens along.

    Raises:
        UsageError: there is nothing in the cache, or rows of another kind, or nothing held out is
            of a corpus that is `apart`, or the teacher's posteriors are over other phonemes.
    """
    refuse_other_rows(folder, columns)
    clean = FeatureCache(folder / "clean", columns)
    copies = [FeatureCache(copy, columns) for copy in sorted(folder.glob("augmented-*"))]
    test = FeatureCache(folder / "held-out", columns)
    if not clean.utterances:
        raise UsageError(f"{folder}: no features; run scripts/extract_features.py first")
    refuse_unknown(apart, (u.corpus for u in test.utterances))
    texts = {u.text for u in clean.utterances + test.utterances}
    said = phonemes_of(texts, language, folder / "phonemes.json")
    counts = Counter(p for u in clean.utterances for p in said[u.text])
    names = list(inventory) or ["<blank>", *sorted(p for p, n in counts.items() if n >= rarest)]
    column = {p: i for i, p in enumerate(names)}

    def example(*cached: tuple[RowSource, CachedUtterance]) -> Example:
        first = cached[0][1]
        phonemes = tuple(column[p] for p in said[first.text] if p in column)
        return Example(cached, phonemes, _draws(first.corpus, draws or {}))

    # A copy whose extraction was interrupted lacks some utterances.
    copy_places = [(copy, copy.by_place()) for copy in copies]
    training = [
        example((clean, u), *((copy, by[place]) for copy, by in copy_places if place in by))
        for place, u in clean.by_place().items()
    ]
    if teacher is not None:
        refuse_other_teacher(teacher, names)
        training = _taught(training, teacher, len(names))
    held_out: dict[str, list[Example]] = defaultdict(list)
    for i in np.random.default_rng(0).permutation(len(test.utterances)):
        utterance = test.utterances[i]
        held_out[family(utterance.corpus, apart)].append(example((test, utterance)))
    return Material(
        training=[e for e in training if _is_learnt_from(e, unlabelled)],
        held_out=dict(held_out),
        speakers=sorted({u.speaker for u in test.utterances}),
        inventory=names,
    )


def _is_learnt_from(example: Example, unlabelled: bool) -> bool:
    """Whether its phonemes fit into its rows; without a text there are none yet."""
    if not example.copies[0][1].text:
        return unlabelled
    return 0 < len(example.phonemes) <= example.length


def phonemes_of(texts: Iterable[str], language: str, cache: Path) -> dict[str, Pronunciation]:
    """The phonemes of every text, from the cache where they are known."""
    known: dict[str, Pronunciation] = {}
    if cache.exists():
        kept = json.loads(cache.read_text(encoding="utf-8"))
        if kept.get("language") == language:
            known = {text: tuple(said) for text, said in kept["texts"].items()}
    missing = [text for text in texts if text not in known]
    if missing:
        phonemizer = Phonemizer(language)
        known |= {text: phonemizer.phonemes(text) for text in missing}
        temporary = cache.with_suffix(f".{os.getpid()}.tmp")  # several processes may write at once
        kept = {"language": language, "texts": known}
        temporary.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
        temporary.replace(cache)
    return known


def _taught(examples: list[Example], teacher: Path, phonemes: int) -> list[Example]:
    """Examples with what the teacher said, of the copies that it has heard; others as they are.

    Where it has not heard all copies of one, those are an example of their own, drawn less often.
    """
    heard: dict[tuple[str, str, int], tuple[FeatureCache, CachedUtterance]] = {}
    for folder in sorted(p for p in teacher.iterdir() if p.is_dir()):
        posteriors = FeatureCache(folder, phonemes)
        for (shard, place), utterance in posteriors.by_place().items():
            heard[folder.name, shard, place] = posteriors, utterance
    taught = []
    for example in examples:
        keys = [(u.shard.parent.name, u.shard.name, u.place) for _, u in example.copies]
        pairs = [(c, heard[k]) for c, k in zip(example.copies, keys, strict=True) if k in heard]
        if pairs:
            copies, said = zip(*pairs, strict=True)
            others = tuple(c for c in example.copies if c not in copies)
            share = TAUGHT if others else 1.0
            draws = example.draws * share
            taught.append(replace(example, copies=copies, teachers=said, draws=draws))
            if others:
                draws = example.draws - draws
                taught.append(replace(example, copies=others, draws=draws))
        else:
            taught.append(example)
    return taught


def _draws(corpus: str, draws: Mapping[str, float]) -> float:
    """The longest beginning of the corpus' name decides."""
    matching = [begin for begin in draws if corpus.startswith(begin)]
    return draws[max(matching, key=len)] if matching else 1.0
