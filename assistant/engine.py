"""The engine: reads bundle, commands and policy, and builds pipelines from them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .acoustic import AcousticScorer, Scoring
from .actions import ActionPolicy, ActionRunner, Dialogue, Journal, load_policy, parse_policy
from .bundle import AcousticBundle, CommandBundle, read_acoustic, read_commands
from .bundle_files import CONFIG
from .config import AssistantConfig
from .errors import ConfigError, UsageError
from .features import EncoderStep, FeatureExtractor, longest_samples
from .grammar.graph import PhonemeGraph
from .intent import IntentDecoder
from .kept import Keeper, Listener
from .nn.encoder import StreamingEncoder
from .nn.precision import computes_bfloat16
from .pipeline import Performer, Pipeline, WholeStream
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
            ConfigError: an utterance may last longer than the encoder has positions for.
        """
        if commands is not None:
            config = replace(config, commands=str(commands))
        device = choose_device(config.device)
        torch.set_num_threads(config.threads)
        acoustic = read_acoustic(find_bundle(config.bundle))
        for network in (acoustic.model, acoustic.encoder):
            if network is not None:
                network.to(device)
        return cls._of(config, device, acoustic, streaming_encoder(acoustic.encoder, device))

    def with_config(self, config: AssistantConfig) -> Engine:
        """The same bundle on the same device with another configuration and its commands.

        Raises:
            UsageError: the configuration names another bundle or device.
            BundleError: its commands are missing or do not fit the bundle.
        """
        for key in ("bundle", "device", "threads"):
            if getattr(config, key) != getattr(self.config, key):
                raise UsageError(f"{key}: cannot change while running; start the assistant again")
        return self._of(config, self.device, self.acoustic, self.streaming)

    @classmethod
    def _of(
        cls,
        config: AssistantConfig,
        device: torch.device,
        acoustic: AcousticBundle,
        streaming: StreamingEncoder | None,
    ) -> Engine:
        compiled = read_commands(find_commands(config.commands, acoustic.folder), acoustic)
        compiled.model.to(device)
        wanted = config.decision.false_alarms_per_hour
        if wanted is not None:
            threshold = compiled.false_alarms.threshold(wanted)
            decision = replace(config.decision, confidence_threshold=threshold)
            config = replace(config, decision=decision)
        graph = PhonemeGraph.compile(compiled.network, compiled.lexicon)
        refused = PhonemeGraph.compile_any(compiled.refused, compiled.lexicon)
        engine = cls(config, device, acoustic, compiled, graph, refused, streaming)
        engine._check_longest_utterance()
        return engine

    def _check_longest_utterance(self) -> None:
        """An utterance too long for the encoder would stop the listener while someone speaks."""
        features = self.acoustic.features
        samples = longest_samples(features, self.acoustic.encoder)
        longest_ms = samples * 1000 / features.sample_rate
        if self.config.endpoint.maximum_utterance_ms > longest_ms:
            raise ConfigError(
                f"endpoint: maximum_utterance_ms: {self.acoustic.name} hears {longest_ms:.0f} ms "
                f"at a time; write {longest_ms:.0f} or less"
            )

    @property
    def threshold(self) -> float:
        """The confidence from which a reading is accepted."""
        configured = self.config.decision.confidence_threshold
        return self.commands.calibration.threshold_unless(configured)

    def pipeline(
        self,
        actions: Performer | None = None,
        whole: bool = False,
        observe: Callable[[Utterance], None] | None = None,
        encoder: EncoderStep | None = None,
        acoustic: Scoring | None = None,
    ) -> Pipeline:
        """A pipeline for one stream; `whole` takes the stream as one utterance, without VAD.

        `actions` and `observe` are those of `Pipeline`. `encoder` and `acoustic` stand in for the
        engine's own where several streams share them.
        """
        features = self.features(encoder)
        return Pipeline(
            endpointer=WholeStream() if whole else Endpointer(self.config.endpoint),
            features=features,
            acoustic=AcousticScorer(acoustic or self.acoustic.model),
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
            return parse_policy({"intents": self.commands.actions}, str(folder / CONFIG))
        return load_policy(find_config(name or POLICY))

    def actions(self, execute: bool, policy: str | None = None) -> ActionRunner:
        """What acts as `policy` says, or in a dry run only says how it would."""
        threshold = self.config.decision.confirmation_threshold
        return ActionRunner(self.policy(policy), execute, threshold)

    def dialogue(self, execute: bool, policy: str | None = None) -> Dialogue:
        """What acts as `actions` does, and asks, and takes back; what it does is journalled."""
        return Dialogue(self.actions(execute, policy), self.config.dialogue, Journal())

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
            row_ms=acoustic.features.row_ms,
            decision=self.config.decision,
            commands_hash=self.commands.hash,
        )
        return Keeper(listener, enabled and self.config.keep_last)

    def features(self, encoder: EncoderStep | None = None) -> FeatureExtractor:
        """The feature stage of one stream; `encoder` as for `pipeline`."""
        bundle = self.acoustic
        streaming = encoder or self.streaming
        return FeatureExtractor(bundle.features, bundle.encoder, self.device, streaming)

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
