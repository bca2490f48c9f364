"""One thread computes the networks for all streams; steps asked for at the same time are one batch.

Every stream's pipeline runs on a thread of its own while it has audio. Where it needs a step of a
network it asks for it here, and waits. The networks' thread waits for the other pipelines that are
busy, a few milliseconds at most, and computes the step of all, each with its own state. Passes over
whole utterances take long, and stay on the stream's own thread: no step waits for them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

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


@dataclass(frozen=True, slots=True, eq=False)
class _Asked(Generic[Request, Result]):
    compute: Callable[[Sequence[Request]], Sequence[Result]]
    request: Request
    kind: Hashable
    answer: Future[Result] = field(default_factory=Future)

    def fits(self, other: _Asked[Any, Any]) -> bool:
        """Whether both can be in one batch."""
        return self.compute == other.compute and self.kind == other.kind


class Batcher:
    """The networks' thread: gathers what several streams ask for, and computes it as one.

    Attributes:
        batches: how many were computed.
        steps: how many requests were in them.
    """

    def __init__(self) -> None:
        self.batches = 0
        self.steps = 0
        self._condition = threading.Condition()
        self._asked: list[_Asked[Any, Any]] = []
        self._hearing = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="networks")

    @contextmanager
    def hearing(self) -> Iterator[None]:
        """While a stream's pipeline computes: its next request may be worth waiting for."""
        with self._condition:
            self._hearing += 1
        try:
            yield
        finally:
            with self._condition:
                self._hearing -= 1
                self._condition.notify()

    def ask(
        self,
        compute: Callable[[Sequence[Request]], Sequence[Result]],
        request: Request,
        kind: Hashable,
    ) -> Result:
        """The request's result; raises what computing it raised.

        Args:
            compute: gives a result for each request.
            kind: requests of one kind can be computed together.
        """
        asked: _Asked[Request, Result] = _Asked(compute, request, kind)
        with self._condition:
            self._asked.append(asked)
            self._condition.notify()
        self._thread.submit(self._compute_next)
        return asked.answer.result()

    def close(self) -> None:
        """End the thread, after what was asked for."""
        self._thread.shutdown()

    def _compute_next(self) -> None:
        """On the networks' thread, once a request."""
        with self._condition:
            if not self._asked:  # it was in a batch with one before it
                return
            self._condition.wait_for(lambda: len(self._asked) >= self._hearing, GATHERING_S)
            first = self._asked[0]
            batch = list(islice(filter(first.fits, self._asked), LARGEST_BATCH))
            self._asked = [asked for asked in self._asked if asked not in batch]
        self.batches += 1
        self.steps += len(batch)
        try:
            results = first.compute([asked.request for asked in batch])
            for asked, result in zip(batch, results, strict=True):
                asked.answer.set_result(result)
        except BaseException as error:
            for asked in batch:
                if not asked.answer.done():
                    asked.answer.set_exception(error)


class BatchedEncoder:
    """Stands in for the streaming encoder of `FeatureExtractor`, for blocks of many streams."""

    def __init__(self, encoder: StreamingEncoder, batcher: Batcher) -> None:
        self._encoder = encoder
        self._batcher = batcher

    def initial_state(self, batch: int = 1) -> EncoderState:
        """See `StreamingEncoder`."""
        return self._encoder.initial_state(batch)

    def step(
        self, log_mel: Tensor, state: EncoderState, left_context: int, centre: int | None = None
    ) -> tuple[Tensor, EncoderState]:
        """See `StreamingEncoder`."""
        frames = log_mel.shape[1] + state.mel_tail.shape[1]
        request = (log_mel, state, left_context, centre)
        return self._batcher.ask(self._steps, request, (frames, left_context, centre))

    @torch.inference_mode()
    def _steps(
        self, requests: Sequence[tuple[Tensor, EncoderState, int, int | None]]
    ) -> list[tuple[Tensor, EncoderState]]:
        if len(requests) == 1:
            return [self._encoder.step(*requests[0])]
        log_mels, states, (left_context, *_), (centre, *_) = zip(*requests, strict=True)
        rows, following = self._encoder.step_together(log_mels, states, left_context, centre)
        return [(rows[i : i + 1], state) for i, state in enumerate(following)]


class BatchedAcousticModel:
    """Stands in for the acoustic model of `AcousticScorer`, for blocks of many streams."""

    def __init__(self, model: AcousticModel, batcher: Batcher) -> None:
        self._model = model
        self._batcher = batcher
        self.config = model.config
        self.mean = model.mean

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
        return self._batcher.ask(self._steps, (block, state, centre), (block.shape[1], centre))

    @torch.inference_mode()
    def _steps(
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
