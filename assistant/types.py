"""The values that travel between the stages, in the order of the way of the data.

All times are sample indices at `SAMPLE_RATE`, counted from the start of the stream; `seconds()`
turns them into seconds for people. Nothing here computes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE_RATE = 16_000
"""Hz; the one rate inside the pipeline. `audio` resamples whatever comes from outside."""

Samples = npt.NDArray[np.float32]
"""Mono samples at `SAMPLE_RATE`, shape (N,), float32, nominally within [-1, 1]."""

SlotValue = str | int | float
"""What a slot holds: the text of a list value (or its `out`), or a number of a range."""

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out")


def seconds(samples: int) -> float:
    """Sample index or count at `SAMPLE_RATE` to seconds."""
    return samples / SAMPLE_RATE


class Stage(Protocol[In, Out]):
    """A shell around a computation: owns buffers, accepts any cut of the stream.

    Contract: `feed` over any split followed by `flush` gives what the uncut input gives.
    """

    @property
    def latency_ms(self) -> float:
        """Algorithmic delay in milliseconds, computed from the stage's own parameters."""

    def feed(self, item: In) -> list[Out]:
        """Take any amount of input; return what can be said now."""

    def flush(self) -> list[Out]:
        """The input has ended: return the tail, computed with its state, then reset."""

    def reset(self) -> None:
        """Forget everything."""


# ── endpointing ────────────────────────────────────────────────────────────────────────────


class EndReason(Enum):
    """Why an utterance ended."""

    SILENCE = "silence"
    MAXIMUM_LENGTH = "maximum length"
    END_OF_STREAM = "end of stream"


@dataclass(frozen=True, slots=True)
class SpeechStart:
    """An utterance begins; its audio follows from sample `start` on (pre-roll included)."""

    start: int


@dataclass(frozen=True, slots=True)
class SpeechAudio:
    """Audio of the current utterance, contiguous with what came before it."""

    samples: Samples
    start: int


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """Within an utterance, nothing has been said for a while up to sample `at`; said once a pause.

    Speech may go on, or the utterance may end.
    """

    at: int


@dataclass(frozen=True, slots=True)
class SpeechEnd:
    """The utterance is over; `end` is one past its last sample, hangover included."""

    end: int
    reason: EndReason


SpeechEvent = SpeechStart | SpeechAudio | SpeechPaused | SpeechEnd


# ── networks ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class FeatureChunk:
    """Feature rows of one stream, and those of the look-ahead behind them.

    rows: (T, D) float32, of the streaming pass. centre: how many of them are the chunk; the others
    are looked ahead at, and come again, better known, in the chunks that follow. log_mel:
    (frames_per_row · centre, bins), what the chunk was made from, kept for the full-context pass.
    """

    rows: Tensor
    centre: int
    log_mel: Tensor


@dataclass(frozen=True, slots=True)
class PosteriorChunk:
    """Phoneme log-posteriors of one stream: `log_probs` (T, P), column 0 is the CTC blank."""

    log_probs: Tensor


# ── decisions ──────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class WordTime:
    """A word of the decoded sentence and where it was said, in rows of the acoustic model."""

    word: str
    start_row: int
    end_row: int


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One reading of an utterance.

    `confidence` in [0, 1]; `log_ratio` is the log-likelihood ratio a phoneme against the free
    phoneme loop (0 is a perfect fit, more negative is worse).
    """

    intent: str
    slots: Mapping[str, SlotValue]
    text: str
    confidence: float
    log_ratio: float
    words: tuple[WordTime, ...] = ()


@dataclass(frozen=True, slots=True)
class Intent:
    """The accepted reading: what the user wants."""

    name: str
    slots: Mapping[str, SlotValue]
    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """No reading was accepted; `best` is the nearest one, for explanation only."""

    reason: str
    best: Hypothesis | None = None


@dataclass(frozen=True, slots=True)
class Utterance:
    """What was decided of the utterance [start, end), and from what.

    log_probs: (T, P) the log-posteriors of the full-context pass; no rows where nothing was said.
    """

    start: int
    end: int
    log_probs: Tensor
    decision: Hypothesis | Rejection


class ActionStatus(Enum):
    """How an action ended."""

    DRY_RUN = "dry run"
    DONE = "done"
    FAILED = "failed"
    UNCONFIRMED = "needs confirmation"
    REFUSED = "refused"
    UNDONE = "undone"
    NONE = "no action"


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What was (or would be) done for an intent; `description` is for people, one line."""

    intent: str
    status: ActionStatus
    description: str
    output: str = ""


# ── pipeline events, in the past tense ─────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Someone began to speak at sample `start`."""

    start: int


@dataclass(frozen=True, slots=True)
class PartialHypothesisChanged:
    """The chunked pass reads something new while speech goes on; `at` is its last sample."""

    at: int
    hypothesis: Hypothesis


@dataclass(frozen=True, slots=True)
class Recognised:
    """The utterance [start, end) was understood.

    early: at a pause, before the utterance was over, because all that could follow meant the same;
    `end` is the pause. `Confirmed` or `Contradicted` closes the utterance then.
    """

    start: int
    end: int
    intent: Intent
    hypothesis: Hypothesis
    early: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """The utterance [start, end) was heard and refused."""

    start: int
    end: int
    rejection: Rejection


@dataclass(frozen=True, slots=True)
class Confirmed:
    """The utterance [start, end), recognised early, means the same as a whole."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Contradicted:
    """The utterance [start, end), recognised early as `early`, is decided otherwise as a whole.

    Nothing is done about it: what was done stays done, and one utterance acts once at most.
    """

    start: int
    end: int
    early: Intent
    decision: Hypothesis | Rejection


@dataclass(frozen=True, slots=True)
class ActionPerformed:
    """The policy has dealt with the intent of the utterance [start, end)."""

    start: int
    end: int
    result: ActionResult


Event = (
    SpeechStarted
    | PartialHypothesisChanged
    | Recognised
    | Rejected
    | Confirmed
    | Contradicted
    | ActionPerformed
)


@dataclass(frozen=True, slots=True)
class StageDelay:
    """A line of the latency ledger: what `stage` adds before its output can be used."""

    stage: str
    milliseconds: float
    because: str = field(default="")
