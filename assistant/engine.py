"""The engine: reads bundle, commands and policy, and builds pipelines from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from .acoustic import AcousticScorer
from .actions import ActionRunner
from .bundle import AcousticBundle, CommandBundle, read_acoustic, read_commands
from .config import AssistantConfig
from .errors import UsageError
from .features import FeatureExtractor
from .grammar.graph import PhonemeGraph
from .intent import Calibration, IntentDecoder
from .pipeline import Pipeline, WholeStream
from .resources import find_bundle, find_commands
from .vad import Endpointer


def choose_device(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda` to a device.

    Raises:
        UsageError: the name is none of these, or there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in ("cpu", "cuda"):
        raise UsageError(f"unknown device '{name}'; one of: auto, cpu, cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device here; use --device cpu (or auto)")
    return torch.device(name)


@dataclass(frozen=True)
class Engine:
    """Everything that is read once and shared by all streams."""

    config: AssistantConfig
    device: torch.device
    acoustic: AcousticBundle
    commands: CommandBundle
    graph: PhonemeGraph

    @classmethod
    def load(cls, config: AssistantConfig, commands: Path | None = None) -> Engine:
        """Read the bundle and the compiled commands.

        Args:
            commands: a folder that takes the place of the configured command set.

        Raises:
            BundleError: they are missing or do not fit together.
        """
        device = choose_device(config.device)
        torch.set_num_threads(config.threads)
        folder = find_bundle(config.bundle)
        acoustic = read_acoustic(folder)
        compiled = read_commands(commands or find_commands(config.commands, folder), acoustic)
        for network in (acoustic.model, acoustic.encoder, compiled.model):
            if network is not None:
                network.to(device)
        graph = PhonemeGraph.compile(compiled.network, compiled.lexicon)
        return cls(config, device, acoustic, compiled, graph)

    def pipeline(self, actions: ActionRunner | None = None, whole: bool = False) -> Pipeline:
        """A pipeline for one stream; `whole` takes the stream as one utterance, without VAD."""
        features = FeatureExtractor(self.acoustic.features, self.acoustic.encoder, self.device)
        return Pipeline(
            endpointer=WholeStream() if whole else Endpointer(self.config.endpoint),
            features=features,
            acoustic=AcousticScorer(self.acoustic.model, features.row_ms),
            intent=self.decoder(),
            actions=actions,
        )

    def decoder(self) -> IntentDecoder:
        """The intent stage of one stream."""
        compiled = self.commands
        return IntentDecoder(
            self.graph,
            compiled.model,
            compiled.intents,
            compiled.slots,
            Calibration(compiled.calibration_weights, compiled.calibration_bias),
            self.config.decision,
            self.device,
        )
