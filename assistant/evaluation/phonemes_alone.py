"""The assistant without commands: the pipeline as it is, up to phonemes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ..acoustic import AcousticScorer
from ..bundle import AcousticBundle, read_acoustic
from ..config import AssistantConfig
from ..engine import choose_device, streaming_encoder
from ..features import FeatureExtractor
from ..intent import IntentDecoder
from ..nn.encoder import StreamingEncoder
from ..pipeline import Pipeline, WholeStream
from ..resources import find_bundle
from ..types import Hypothesis, PosteriorChunk, Rejection, Utterance
from ..vad import Endpointer


class NoCommands(IntentDecoder):
    """Stands in for the intent stage where there is nothing to decide."""

    def __init__(self) -> None:
        """There is nothing to build it from."""

    def reset(self) -> None:
        """Nothing is remembered."""

    def feed(self, item: PosteriorChunk) -> list[Hypothesis]:
        """No partial results."""
        return []

    def decide(self, log_probs: Tensor) -> Rejection:
        """Everything is refused."""
        return Rejection("no commands were given")

    def decide_early(self, log_probs: Tensor) -> None:
        """A pause decides nothing."""


@dataclass(frozen=True)
class PhonemeEngine:
    """An acoustic bundle that is read once; like `Engine`, without commands."""

    config: AssistantConfig
    device: torch.device
    acoustic: AcousticBundle
    streaming: StreamingEncoder | None

    @classmethod
    def load(cls, config: AssistantConfig) -> PhonemeEngine:
        """Read the bundle.

        Raises:
            BundleError: it is missing, or damaged.
        """
        device = choose_device(config.device)
        torch.set_num_threads(config.threads)
        acoustic = read_acoustic(find_bundle(config.bundle))
        for network in (acoustic.model, acoustic.encoder):
            if network is not None:
                network.to(device)
        return cls(config, device, acoustic, streaming_encoder(acoustic.encoder, device))

    def pipeline(
        self, *, whole: bool = False, observe: Callable[[Utterance], None] | None = None
    ) -> Pipeline:
        """A pipeline for one stream that hears phonemes and refuses everything."""
        bundle = self.acoustic
        features = FeatureExtractor(bundle.features, bundle.encoder, self.device, self.streaming)
        return Pipeline(
            endpointer=WholeStream() if whole else Endpointer(self.config.endpoint),
            features=features,
            acoustic=AcousticScorer(bundle.model),
            intent=NoCommands(),
            observe=observe,
        )
