"""A command set adapted to one user, from a few recordings: `assistant adapt`.

Two takes of three teach, the third is kept out. What is learnt are pronunciations (see
`own_pronunciations`) and, where right takes are refused, a shift of the confidence; both are
measured on the takes kept out, by the joint decision of graph and LSTM, before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from ..bundle import CommandBundle
from ..bundle_files import POSTERIOR_BANK
from ..confidence import WORST_LOG_RATIO
from ..engine import Engine
from ..errors import UsageError
from ..false_alarms import log_odds
from ..grammar.commands import CommandSet
from ..grammar.graph import PhonemeGraph
from ..intent import IntentDecoder
from ..types import Hypothesis, Rejection
from .own_pronunciations import LearntPronunciation, learn_pronunciations, with_learnt
from .own_speech import HeardTake, hear_takes
from .posterior_bank import PosteriorBank
from .sentence_source import SentenceSource
from .takes import held_out, read_takes

FEWEST = 9
"""Takes that can be used, below which there is nothing to measure with: three are kept out."""
FOREIGN = 100
"""Stretches of other people's talk, from the posterior bank, heard for safety."""
SURE = 0.4
"""Log-odds that a right take should have at least: a confidence of 0.6."""
UNLUCKY = 0.05
"""Share of the right takes that may have less."""
LARGEST_SHIFT = 2.0
"""Log-odds that a few recordings may add to the confidence at most."""
CERTAIN = 1e-9
"""Confidences are taken to be this far from 0 and 1 at least."""

LEAST_GAIN = 0.01
"""Nats a phoneme by which takes kept out must fit better to be worth a change."""

Progress = Callable[[float, str], None]


@dataclass(frozen=True, slots=True)
class Score:
    """How takes are understood; `confidence` and `log_ratio` (nats a phoneme) are means."""

    takes: int
    exact: int
    """Accepted, with the right intent and every slot right."""
    rejected: int
    confidence: float
    log_ratio: float


@dataclass(frozen=True, slots=True)
class ForeignScore:
    """What becomes of other people's talk; `log_ratio` is the mean fit to the nearest command."""

    utterances: int
    taken: int
    """Accepted, which is wrong."""
    log_ratio: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same takes before and after; `intent` is empty for all of them."""

    intent: str
    before: Score
    after: Score


@dataclass(frozen=True, slots=True)
class AdaptationReport:
    """What was learnt from how many takes, and what it brought on the takes kept out."""

    adapted_on: int
    problems: tuple[str, ...]
    """A line for each take that could not be used."""
    pronunciations: Mapping[str, str]
    """Words to what was learnt, phonemes parted by spaces."""
    confidence_shift: float
    """Log-odds added to every confidence."""
    total: Comparison
    intents: tuple[Comparison, ...]
    foreign_before: ForeignScore
    foreign_after: ForeignScore

    @property
    def is_better(self) -> bool:
        """More takes exactly right, or as many that fit better, and no more is taken wrongly.

        More pronunciations fit more of everything: it counts by how much more they fit these takes
        than they fit other people's talk.
        """
        before, after = self.total.before, self.total.after
        if self.foreign_after.taken > self.foreign_before.taken:
            return False
        if after.exact != before.exact:
            return after.exact > before.exact
        everywhere = self.foreign_after.log_ratio - self.foreign_before.log_ratio
        return after.log_ratio - before.log_ratio - max(0.0, everywhere) > LEAST_GAIN


def adapt(
    recordings: Path, engine: Engine, progress: Progress = lambda share, state: None
) -> tuple[CommandBundle, AdaptationReport]:
    """Adapt the engine's commands to the recordings of a manifest; nothing is written.

    Raises:
        UsageError: too few of the recordings can be used.
    """
    listed = read_takes(recordings, engine.commands)
    heard, unfit = hear_takes(listed.takes, engine, lambda share, s: progress(0.7 * share, s))
    problems = (*listed.problems, *unfit)
    if len(heard) < FEWEST:
        why = f"; {len(problems)} more cannot be used, the first: {problems[0]}" if problems else ""
        raise UsageError(
            f"{recordings}: {len(heard)} recordings that can be used, at least {FEWEST} are "
            f"needed; record more (assistant record){why}"
        )
    kept_out = list(held_out([take.take for take in heard]))
    teaching = [take for take, out in zip(heard, kept_out, strict=True) if not out]
    testing = [take for take, out in zip(heard, kept_out, strict=True) if out]

    progress(0.7, "learning pronunciations")
    before = engine.decoder()
    learnt = learn_pronunciations(teaching, engine.commands.lexicon)
    adapted = replace(engine.commands, lexicon=with_learnt(engine.commands.lexicon, learnt))
    progress(0.8, "hearing other people")
    foreign = _foreign(engine)
    shift = _shift(_decoder(engine, adapted), teaching, foreign)
    adapted = replace(
        adapted,
        calibration=replace(adapted.calibration, bias=adapted.calibration.bias + shift),
        false_alarms=adapted.false_alarms.raised(shift),
    )
    after = _decoder(engine, adapted)
    progress(0.9, "measuring")
    total, intents = _compare(before, after, testing)
    return adapted, AdaptationReport(
        adapted_on=len(teaching),
        problems=problems,
        pronunciations=_written(learnt, engine),
        confidence_shift=shift,
        total=total,
        intents=intents,
        foreign_before=_score_foreign(before, foreign),
        foreign_after=_score_foreign(after, foreign),
    )


def _decoder(engine: Engine, commands: CommandBundle) -> IntentDecoder:
    graph = PhonemeGraph.compile(commands.network, commands.lexicon)
    return replace(engine, commands=commands, graph=graph).decoder()


def _written(learnt: Sequence[LearntPronunciation], engine: Engine) -> dict[str, str]:
    symbols = engine.acoustic.phonemes
    return {one.word: " ".join(symbols[phoneme] for phoneme in one.phonemes) for one in learnt}


# ── other people's talk ──────────────────────────────────────────────────────────────────────


def _foreign(engine: Engine) -> list[Tensor]:
    """Other people's talk, from the bundle's posterior bank where it has one."""
    path = engine.acoustic.folder / POSTERIOR_BANK
    if not path.is_file():
        return []
    compiled = engine.commands
    commands = CommandSet(
        compiled.language,
        compiled.network,
        compiled.intents,
        compiled.slots,
        compiled.source_hash,
    )
    source = SentenceSource(commands, {}, PosteriorBank.read(path))
    drawn = [source.other_speech(i % 2 == 1, i).log_probs for i in range(FOREIGN)]
    return [log_probs for log_probs in drawn if len(log_probs)]


def _shift(
    decoder: IntentDecoder, teaching: Sequence[HeardTake], foreign: Sequence[Tensor]
) -> float:
    """Log-odds by which right takes are refused, as far as nothing foreign is accepted for it."""
    heard = [(take, _decide(decoder, take.log_probs)[1]) for take in teaching]
    right = [
        log_odds(best.confidence, CERTAIN) for take, best in heard if best and _is_of(best, take)
    ]
    decided = [_decide(decoder, log_probs) for log_probs in foreign]
    refused = [
        log_odds(best.confidence, CERTAIN) for accepted, best in decided if best and not accepted
    ]
    if not right or not refused:
        return 0.0
    threshold = log_odds(decoder.threshold, CERTAIN)
    wanted = threshold + SURE - float(np.quantile(right, UNLUCKY))
    # Half of the way to the nearest that is refused: what was drawn is not all there is.
    allowed = (threshold - max(refused)) / 2
    return max(0.0, min(wanted, allowed, LARGEST_SHIFT))


def _score_foreign(decoder: IntentDecoder, foreign: Sequence[Tensor]) -> ForeignScore:
    decided = [_decide(decoder, log_probs) for log_probs in foreign]
    fits = [max(best.log_ratio, WORST_LOG_RATIO) for _, best in decided if best]
    taken = sum(accepted for accepted, _ in decided)
    return ForeignScore(len(foreign), taken, float(np.mean(fits)) if fits else 0.0)


# ── before and after ───────────────────────────────────────────────────────────────────────


def _compare(
    before: IntentDecoder, after: IntentDecoder, takes: Sequence[HeardTake]
) -> tuple[Comparison, tuple[Comparison, ...]]:
    """All takes, and those of each intent."""
    decisions = [
        tuple(_decide(decoder, take.log_probs) for take in takes) for decoder in (before, after)
    ]
    names = sorted({take.take.intent for take in takes})
    of_all, *of_each = (
        Comparison(name, *(_score(takes, decided, name) for decided in decisions))
        for name in ("", *names)
    )
    return of_all, tuple(of_each)


_Decided = tuple[bool, Hypothesis | None]
"""Whether an utterance was accepted, and the nearest sentence."""


def _decide(decoder: IntentDecoder, log_probs: Tensor) -> _Decided:
    decision = decoder.decide(log_probs)
    return (False, decision.best) if isinstance(decision, Rejection) else (True, decision)


def _is_of(heard: Hypothesis, take: HeardTake) -> bool:
    return (heard.intent, dict(heard.slots)) == take.take.reading


def _score(takes: Sequence[HeardTake], decided: Sequence[_Decided], intent: str) -> Score:
    chosen = [
        (take, accepted, best)
        for take, (accepted, best) in zip(takes, decided, strict=True)
        if intent in ("", take.take.intent)
    ]
    return Score(
        takes=len(chosen),
        exact=sum(ok and best is not None and _is_of(best, take) for take, ok, best in chosen),
        rejected=sum(not accepted for _, accepted, _ in chosen),
        confidence=float(np.mean([best.confidence if best else 0.0 for *_, best in chosen])),
        log_ratio=float(
            np.mean([best.log_ratio if best else WORST_LOG_RATIO for *_, best in chosen])
        ),
    )
