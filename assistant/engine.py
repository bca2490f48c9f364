"""The engine: reads bundle, commands and policy, and builds pipelines from them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .acoustic import AcousticScorer
from .actions import ActionPolicy, ActionRunner, load_policy, parse_policy
from .bundle import AcousticBundle, CommandBundle, read_acoustic, read_commands
from .config import AssistantConfig
from .errors import UsageError
from .features import FeatureExtractor
from .grammar.graph import PhonemeGraph
from .intent import IntentDecoder
from .kept import Keeper, Listener
from .nn.encoder import StreamingEncoder
from .nn.precision import computes_bfloat16
from .pipeline import Pipeline, WholeStream
from .resources import find_bundle, find_commands, find_config
from .types import Utterance
from .vad import Endpointer

POLICY = "actions.yaml"
"""The policy of a command set that has no actions of its own."""


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


def streaming_encoder(
    encoder: StreamingEncoder | None, device: torch.device
) -> StreamingEncoder | None:
    """The encoder for partial results: in bfloat16 where the processor computes in it.

    It halves the cost of the streaming pass; the decision stays with float32.
    """
    if encoder is None or device.type != "cpu" or not computes_bfloat16(device):
        return encoder
    return copy.deepcopy(encoder).to(torch.bfloat16)


@dataclass(frozen=True)
class Engine:
    """Everything that is read once and shared by all streams."""

    config: AssistantConfig
    device: torch.device
    acoustic: AcousticBundle
    commands: CommandBundle
    graph: PhonemeGraph
    refused: PhonemeGraph | None
    streaming: StreamingEncoder | None

    @classmethod
    def load(cls, config: AssistantConfig, commands: Path | None = None) -> Engine:
        """Read the bundle and the compiled commands.

        Args:
            commands: a folder that takes the place of the configured command set.

        Raises:
            BundleError: they are missing or do not fit together.
        """
        if commands is not None:
            config = replace(config, commands=str(commands))
        device = choose_device(config.device)
        torch.set_num_threads(config.threads)
        folder = find_bundle(config.bundle)
        acoustic = read_acoustic(folder)
        compiled = read_commands(find_commands(config.commands, folder), acoustic)
        for network in (acoustic.model, acoustic.encoder, compiled.model):
            if network is not None:
                network.to(device)
        wanted = config.decision.false_alarms_per_hour
        if wanted is not None:
            threshold = compiled.false_alarms.threshold(wanted)
            decision = replace(config.decision, confidence_threshold=threshold)
            config = replace(config, decision=decision)
        graph = PhonemeGraph.compile(compiled.network, compiled.lexicon)
        refused = PhonemeGraph.compile_any(compiled.refused, compiled.lexicon)
        streaming = streaming_encoder(acoustic.encoder, device)
        return cls(config, device, acoustic, compiled, graph, refused, streaming)

    @property
    def threshold(self) -> float:
        """The confidence from which a reading is accepted."""
        configured = self.config.decision.confidence_threshold
        return self.commands.calibration.threshold_unless(configured)

    def pipeline(
        self,
        actions: ActionRunner | None = None,
        whole: bool = False,
        observe: Callable[[Utterance], None] | None = None,
    ) -> Pipeline:
        """A pipeline for one stream; `whole` takes the stream as one utterance, without VAD.

        `actions` and `observe` are those of `Pipeline`.
        """
        features = self.features()
        return Pipeline(
            endpointer=WholeStream() if whole else Endpointer(self.config.endpoint),
            features=features,
            acoustic=AcousticScorer(self.acoustic.model, features.row_ms),
            intent=self.decoder(),
            actions=actions,
            observe=observe,
            early_commit=self.config.early_commit,
        )

    def policy(self, name: str | None = None) -> ActionPolicy:
        """What each intent does.

        Args:
            name: a policy file; by default what the command set itself says, and where it says
                nothing, the package's own.

        Raises:
            ConfigError: the policy is missing or has mistakes.
        """
        if name is None and self.commands.actions:
            folder = find_commands(self.config.commands, self.acoustic.folder)
            return parse_policy({"intents": self.commands.actions}, str(folder / "config.yaml"))
        return load_policy(find_config(name or POLICY))

    def actions(self, execute: bool, policy: str | None = None) -> ActionRunner:
        """What acts as `policy` says, or in a dry run only says how it would."""
        threshold = self.config.decision.confirmation_threshold
        return ActionRunner(self.policy(policy), execute, threshold)

    def keeper(self, enabled: bool = True) -> Keeper:
        """Keeps the last utterance for `assistant explain`, unless `enabled` or the config say no.

        Its `observe` is for `pipeline`.
        """
        acoustic = self.acoustic
        commands = find_commands(self.config.commands, acoustic.folder)
        listener = Listener(
            bundle=str(acoustic.folder.resolve()),
            acoustic_hash=acoustic.hash,
            commands=str(commands.resolve()),
            source_hash=self.commands.source_hash,
            row_ms=self.features().row_ms,
            decision=self.config.decision,
        )
        return Keeper(listener, enabled and self.config.keep_last)

    def features(self) -> FeatureExtractor:
        """The feature stage of one stream."""
        bundle = self.acoustic
        return FeatureExtractor(bundle.features, bundle.encoder, self.device, self.streaming)

    def decoder(self, lstm_weight: float | None = None) -> IntentDecoder:
        """The intent stage of one stream; with another weight of the LSTM, where one is given."""
        compiled = self.commands
        decision = self.config.decision
        if lstm_weight is not None:
            decision = replace(decision, lstm_weight=lstm_weight)
        return IntentDecoder(
            self.graph,
            compiled.model,
            compiled.intents,
            compiled.slots,
            compiled.calibration,
            decision,
            self.device,
            self.refused,
        )
