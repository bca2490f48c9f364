"""One network for all streams: steps that are asked for at the same time are computed as a batch.

Every stream's pipeline runs on a thread of its own while it has audio. Where it needs a step of a
network it waits here for those of the other threads that are busy too, a few milliseconds at most;
one of them then computes the step of all, each with its own state.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

import torch
from torch import Tensor

from ..nn.acoustic_model import AcousticModel, AcousticState
from ..nn.encoder import EncoderState, StreamingEncoder
from ..nn.latency_controlled import RecurrentState

Request = TypeVar("Request")
Result = TypeVar("Result")

GATHERING_S = 0.004
"""Seconds a step waits at most for those of other streams."""
LARGEST_BATCH = 32
"""Streams of a batch; more wait for the next one."""


class Busy:
    """How many streams are being computed: as many steps may still come."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.streams = 0

    def __enter__(self) -> None:
        with self._lock:
            self.streams += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.streams -= 1


@dataclass(slots=True)
class _Asked(Generic[Request, Result]):
    request: Request
    result: Result | None = None
    error: BaseException | None = None
    is_done: bool = False
    is_taken: bool = False


class Batcher(Generic[Request, Result]):
    """Gathers requests of several threads, and computes those that fit together as one.

    Attributes:
        batches: how many were computed.
        steps: how many requests were in them.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Request]], Sequence[Result]],
        alike: Callable[[Request], object],
        busy: Busy,
    ) -> None:
        """alike: requests with equal ones of it fit together."""
        self._compute = compute
        self._alike = alike
        self._busy = busy
        self._condition = threading.Condition()
        self._asked: list[_Asked[Request, Result]] = []
        self._is_computing = False
        self.batches = 0
        self.steps = 0

    def __call__(self, request: Request) -> Result:
        """The request's result; raises what computing it raised."""
        asked: _Asked[Request, Result] = _Asked(request)
        with self._condition:
            self._asked.append(asked)
            self._condition.notify_all()  # whoever gathers counts again
            self._condition.wait_for(
                lambda: asked.is_taken or len(self._asked) >= self._busy.streams, GATHERING_S
            )
            self._condition.wait_for(lambda: asked.is_taken or not self._is_computing)
            batch = [] if asked.is_taken else self._take(asked)
        if batch:
            self._run(batch)
        with self._condition:
            self._condition.wait_for(lambda: asked.is_done)
        if asked.error is not None:
            raise asked.error
        return asked.result  # type: ignore[return-value]  # it is done without an error

    def _take(self, first: _Asked[Request, Result]) -> list[_Asked[Request, Result]]:
        """A batch of what fits to `first`; the lock is held."""
        kind = self._alike(first.request)
        others = (a for a in self._asked if a is not first and self._alike(a.request) == kind)
        batch = [first, *islice(others, LARGEST_BATCH - 1)]
        for asked in batch:
            asked.is_taken = True
        self._asked = [asked for asked in self._asked if not asked.is_taken]
        self._is_computing = True
        return batch

    def _run(self, batch: Sequence[_Asked[Request, Result]]) -> None:
        try:
            results = self._compute([asked.request for asked in batch])
            for asked, result in zip(batch, results, strict=True):
                asked.result = result
        except BaseException as error:
            for asked in batch:
                asked.error = error
        finally:
            with self._condition:
                for asked in batch:
                    asked.is_done = True
                self.batches += 1
                self.steps += len(batch)
                self._is_computing = False
                self._condition.notify_all()


class BatchedEncoder:
    """Stands in for the streaming encoder of `FeatureExtractor`, for chunks of many streams."""

    def __init__(self, encoder: StreamingEncoder, busy: Busy) -> None:
        self._encoder = encoder
        self.batcher: Batcher[tuple[Tensor, EncoderState, int], tuple[Tensor, EncoderState]] = (
            Batcher(self._compute, lambda r: (r[0].shape[1] + r[1].mel_tail.shape[1], r[2]), busy)
        )

    def initial_state(self, batch: int = 1) -> EncoderState:
        """See `StreamingEncoder`."""
        return self._encoder.initial_state(batch)

    def step(
        self, log_mel: Tensor, state: EncoderState, left_context: int
    ) -> tuple[Tensor, EncoderState]:
        """See `StreamingEncoder`."""
        return self.batcher((log_mel, state, left_context))

    @torch.inference_mode()
    def _compute(
        self, requests: Sequence[tuple[Tensor, EncoderState, int]]
    ) -> list[tuple[Tensor, EncoderState]]:
        log_mels, states, (left_context, *_) = zip(*requests, strict=True)
        if len(requests) == 1:
            return [self._encoder.step(log_mels[0], states[0], left_context)]
        rows, following = self._encoder.step_together(log_mels, states, left_context)
        return [(rows[i : i + 1], state) for i, state in enumerate(following)]


class BatchedAcousticModel:
    """Stands in for the acoustic model of `AcousticScorer`, for blocks of many streams."""

    def __init__(self, model: AcousticModel, busy: Busy) -> None:
        self._model = model
        self.config = model.config
        self.mean = model.mean
        self.batcher: Batcher[tuple[Tensor, AcousticState, int], tuple[Tensor, AcousticState]] = (
            Batcher(self._compute, lambda r: (r[0].shape[1], r[2]), busy)
        )

    def initial_state(self, batch: int = 1) -> AcousticState:
        """See `AcousticModel`."""
        return self._model.initial_state(batch)

    def __call__(self, rows: Tensor, lengths: Tensor) -> Tensor:
        """Whole utterances at full context, see `AcousticModel.forward`."""
        log_probs: Tensor = self._model(rows, lengths)
        return log_probs

    def step(
        self, block: Tensor, state: AcousticState, centre: int
    ) -> tuple[Tensor, AcousticState]:
        """See `AcousticModel`."""
        return self.batcher((block, state, centre))

    @torch.inference_mode()
    def _compute(
        self, requests: Sequence[tuple[Tensor, AcousticState, int]]
    ) -> list[tuple[Tensor, AcousticState]]:
        blocks, states, (centre, *_) = zip(*requests, strict=True)
        recurrent = [state for state in states if isinstance(state, RecurrentState)]
        if len(requests) == 1 or len(recurrent) < len(states):  # a Transformer goes one by one
            return [self._model.step(*request) for request in requests]
        state = RecurrentState.together(recurrent)
        log_probs, following = self._model.step(torch.cat(blocks), state, centre)
        assert isinstance(following, RecurrentState)  # noqa: S101 - as what it came from
        return [(log_probs[i : i + 1].clone(), one) for i, one in enumerate(following.apart())]
