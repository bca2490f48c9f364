"""Configuration: one frozen dataclass a stage, units on the field, unknown keys are errors."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from .bounds import Bounded, Bounds
from .errors import ConfigError
from .resources import bundle_shelf, is_meant
from .yaml_loader import read_yaml

Config = TypeVar("Config")


@dataclass(frozen=True)
class AudioConfig(Bounded):
    """Where sound comes from."""

    device: str | None = None
    """Name (or part of it) or, in quotes, index of the input device; else the system's default."""
    block_ms: Annotated[float, Bounds(1, 1000)] = 20.0
    """Milliseconds the device hands over at a time."""
    queue_ms: Annotated[float, Bounds(1, 60_000)] = 2000.0
    """Milliseconds of audio held before the oldest block is dropped (and counted)."""
    retry_initial_s: Annotated[float, Bounds(0.01, 3600)] = 0.5
    """Seconds before the first attempt to reopen a lost device; doubled each time."""
    retry_maximum_s: Annotated[float, Bounds(0.01, 3600)] = 10.0
    """Seconds at most between attempts."""


@dataclass(frozen=True)
class EndpointConfig:
    """When an utterance begins and ends."""

    frame_ms: int = 20
    """Milliseconds a voice-activity decision covers: 10, 20 or 30 (webrtcvad's own sizes)."""
    aggressiveness: int = 2
    """webrtcvad's mode, 0 (accepts much as speech) to 3 (accepts little)."""
    start_window_ms: int = 200
    """Milliseconds looked at to decide that speech has begun."""
    start_ratio: float = 0.6
    """Share of voiced frames within the start window that begins an utterance."""
    minimum_speech_ms: int = 120
    """Milliseconds of voiced frames within the start window below which it is a click."""
    pre_roll_ms: int = 300
    """Milliseconds kept from before the start window, so that the first word is not lost."""
    hangover_ms: int = 700
    """Milliseconds without speech that end an utterance."""
    pause_ms: int = 240
    """Milliseconds without speech after which an utterance may be decided early; see
    `early_commit`."""
    end_ratio: float = 0.15
    """Share of voiced frames within the hangover up to which it counts as silence."""
    maximum_utterance_ms: int = 15_000
    """Milliseconds (pre-roll included) after which an utterance is ended whatever goes on."""
    gate_margin_db: float = 5.0
    """Decibels (200 to 4000 Hz) a frame must stand above the noise floor to count as speech."""
    gate_window_ms: int = 3_000
    """Milliseconds over which the quietest level is taken as the noise floor."""
    gate_smoothing_ms: int = 60
    """Milliseconds, the time constant that smooths the level before its minimum is taken."""
    gate_minimum_db: float = -75.0
    """Decibels (full scale) below which nothing is speech."""
    gate_rise_after_ms: int = 5_000
    """Milliseconds into an utterance after which the gate's margin begins to rise."""
    gate_rise_db: float = 1.0
    """Decibels a second by which it rises, so that fluctuating noise does not last."""


@dataclass(frozen=True)
class FeatureConfig(Bounded):
    """Log-mel, and the streaming encoder's chunks. What must fit the bundle lives in the bundle."""

    sample_rate: int = 16_000
    """Hz."""
    fft_size: int = 400
    """Samples of a window."""
    hop: int = 160
    """Samples between windows."""
    mel_bins: int = 80
    """Mel bands up to half the sample rate."""
    encoder: bool = True
    """Whether the streaming encoder follows; without it rows are stacked log-mel frames."""
    stack: int = 2
    """Encoder frames (or log-mel frames) joined into one row."""
    chunk_rows: Annotated[int, Bounds(1)] = 12
    """Rows of a chunk, the centre of the networks' block in the streaming pass."""
    lookahead_rows: Annotated[int, Bounds(0)] = 4
    """Rows of the block beyond them. They are encoded again with the next chunk: a third of it
    costs a third more while someone speaks."""
    left_context_rows: Annotated[int, Bounds(0)] = 200
    """Rows of the past whose keys and values are kept."""

    @property
    def frames_per_row(self) -> int:
        """Log-mel frames a row stands for; the encoder's convolutions halve their number."""
        return self.stack * (2 if self.encoder else 1)

    @property
    def block_rows(self) -> int:
        """Rows of a chunk with its look-ahead."""
        return self.chunk_rows + self.lookahead_rows

    @property
    def frames_ahead(self) -> int:
        """Log-mel frames beyond its own that a row needs: the convolutions look one ahead."""
        return int(self.encoder)

    def frames_for(self, rows: int) -> int:
        """Log-mel frames that the first so many rows need."""
        return rows * self.frames_per_row + self.frames_ahead

    @property
    def row_ms(self) -> float:
        """Milliseconds a row stands for."""
        return self.frames_per_row * self.hop * 1000 / self.sample_rate


@dataclass(frozen=True)
class AcousticConfig:
    """Shape of the acoustic model."""

    input_size: int = 1024
    """Columns of a feature row."""
    projection_size: int = 256
    """Columns after the first linear layer."""
    cell: str = "gru"
    """What the layers are made of: rnn (Elman's), gru, lstm or transformer."""
    bidirectional: bool = True
    """Whether a row sees what comes after it: its block with the look-ahead, or the utterance."""
    hidden_size: int = 256
    """Units a direction and layer; a Transformer's width."""
    layers: int = 2
    """Layers over time."""
    dropout: float = 0.1
    """Probability, between layers, while training."""
    phonemes: int = 0
    """Outputs, the CTC blank included."""

    def __post_init__(self) -> None:
        """Refuse layers that do not exist.

        Raises:
            ConfigError: `cell` has another name, or a Transformer cannot be this wide.
        """
        cells = ("rnn", "gru", "lstm", "transformer")
        if self.cell not in cells:
            raise ConfigError(f"cell: expected one of {', '.join(cells)}; found '{self.cell}'")
        # Half a position's columns are sines, half cosines; heads are 64 columns wide.
        step = 2 if self.hidden_size < 64 else 64
        if self.cell == "transformer" and self.hidden_size % step:
            raise ConfigError(
                f"hidden_size: a Transformer's is even up to 64, then a multiple of 64; "
                f"found {self.hidden_size}"
            )


@dataclass(frozen=True)
class IntentConfig:
    """Shape of the intent model."""

    hidden_size: int = 96
    """Units of a layer."""
    layers: int = 1
    """Layers of the LSTM."""
    dropout: float = 0.2
    """Probability, while training."""
    delay: int = 4
    """Phonemes a tag waits for what follows the one it speaks of."""
    blank_threshold: float = 0.5
    """Rows whose blank is at least this probable are not read."""


@dataclass(frozen=True)
class DecisionConfig(Bounded):
    """How a hypothesis is accepted or refused."""

    lstm_weight: Annotated[float, Bounds(0)] = 0.3
    """Weight of the LSTM's log-odds on the arcs of the command graph; 0 is the graph alone."""
    confidence_threshold: Annotated[float | None, Bounds(0, 1)] = None
    """Confidence below which an utterance is rejected. None is the one that was found when the
    commands were compiled."""
    false_alarms_per_hour: Annotated[float | None, Bounds(0)] = None
    """Where given, the threshold is the one at which so many commands are heard in an hour of
    other people's talk, as measured when the commands were compiled."""
    confirmation_threshold: Annotated[float, Bounds(0, 1)] = 0.8
    """Confidence below which an action of `confirm: when-unsure` needs confirmation."""
    minimum_phonemes: Annotated[int, Bounds(0)] = 2
    """Utterances with fewer phonemes are noise."""
    filler_penalty: Annotated[float | None, Bounds(0)] = 3.0
    """Nats a row that hesitation or noise before and after a command costs; none: not allowed."""
    early_margin: Annotated[float, Bounds(0)] = 8.0
    """Nats behind the best reading within which no other may be left for an early decision."""


@dataclass(frozen=True)
class DialogueConfig(Bounded):
    """How long the assistant waits for people."""

    confirmation_timeout_s: Annotated[float, Bounds(0.001)] = 10.0
    """Seconds in which a question may be answered; then nothing is done."""
    undo_timeout_s: Annotated[float, Bounds(0)] = 60.0
    """Seconds in which the last action may be taken back."""
    follow_up_s: Annotated[float, Bounds(0)] = 8.0
    """Seconds after an answer or a question in which one speaks on without a wake word."""


@dataclass(frozen=True)
class DaemonConfig:
    """How `assistant serve` listens, and to whom it answers."""

    mode: str = "always"
    """When the microphone is listened to: always, wake (a wake phrase comes first) or push-to-talk
    (while a key is held)."""
    wyoming: str | None = None
    """Address of the Wyoming server, unix://… or tcp://…; a unix socket in $XDG_RUNTIME_DIR where
    absent."""
    wyoming_acts: bool = True
    """Whether a text that a Wyoming client hands over is acted on, as the policy says; else it is
    told the intent, and acts itself."""
    metrics: str | None = None
    """Address of metrics and health over HTTP, as tcp://127.0.0.1:9464; none where absent."""
    contexts: Mapping[str, str] = field(default_factory=dict)
    """Command sets, as `commands`, by application: which is heard while its window is active."""
    shortcut: str | None = None
    """Key for push-to-talk that the desktop is asked for, as CTRL+space; none where absent."""
    notifications: bool = True
    """Whether results are shown on the desktop, with buttons for yes, no and undo."""


@dataclass(frozen=True)
class AssistantConfig(Bounded):
    """The whole configuration file."""

    bundle: str = "en-us"
    """Folder of the acoustic bundle, or the name of one that travels with the package."""
    commands: str = "home"
    """Compiled command set, a folder or a name; for `serve` also a command file, or a folder."""
    device: str = "auto"
    """Where networks run: auto, cpu or cuda."""
    threads: Annotated[int, Bounds(1, 1024)] = 1
    """CPU threads for the networks."""
    early_commit: bool = False
    """Whether to act at a pause, before the utterance's end, where all readings left agree."""
    keep_last: bool = True
    """Whether the last utterance is kept for `assistant explain`: what was heard, no sound."""
    audio: AudioConfig = field(default_factory=AudioConfig)
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)
    dialogue: DialogueConfig = field(default_factory=DialogueConfig)
    daemon: DaemonConfig = field(default_factory=DaemonConfig)


def from_mapping(kind: type[Config], values: Mapping[str, Any], where: str) -> Config:
    """Build a configuration dataclass, strictly.

    Args:
        kind: the dataclass wanted.
        values: keys and plain values, as a YAML file gives them.
        where: the file (and section), for messages.

    Raises:
        ConfigError: an unknown key or a value of the wrong type, naming `where` and the key.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: expected keys and values, found {type(values).__name__}")
    hints = typing.get_type_hints(kind)
    names = [f.name for f in dataclasses.fields(kind)]  # type: ignore[arg-type]
    built: dict[str, Any] = {}
    for key, value in values.items():
        if key not in names:
            raise ConfigError(f"{where}: unknown key '{key}'; one of: {', '.join(names)}")
        built[key] = _coerce(hints[key], value, f"{where}: {key}")
    try:
        return kind(**built)
    except (TypeError, ConfigError) as error:
        raise ConfigError(f"{where}: {error}") from error


def _coerce(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return from_mapping(hint, value, where)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        wanted = next(o for o in typing.get_args(hint) if o is not type(None))
        is_left_out = value is None and type(None) in typing.get_args(hint)
        return None if is_left_out else _coerce(wanted, value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    expected = origin or hint
    if isinstance(expected, type) and (
        not isinstance(value, expected) or (expected is int and isinstance(value, bool))
    ):
        mend = "; put it in quotes" if expected is str and isinstance(value, int | float) else ""
        raise ConfigError(f"{where}: expected {expected.__name__}, found {value!r}{mend}")
    if origin is Mapping:
        of_keys, of_values = typing.get_args(hint)
        return {
            _coerce(of_keys, key, where): _coerce(of_values, held, f"{where}: {key}")
            for key, held in value.items()
        }
    return value


def to_mapping(config: Any) -> dict[str, Any]:
    """Plain keys and values of a configuration dataclass, ready for YAML."""
    return dataclasses.asdict(config)


def load(path: Path) -> AssistantConfig:
    """Read the assistant's configuration file; what lies beside it is found from any folder."""
    config = from_mapping(AssistantConfig, read_yaml(path) or {}, str(path))
    bundle = _beside(path, config.bundle, bundle_shelf())
    sets = bundle_shelf() / bundle / "commands"
    contexts = {name: _beside(path, of, sets) for name, of in config.daemon.contexts.items()}
    daemon = dataclasses.replace(config.daemon, contexts=contexts)
    commands = _beside(path, config.commands, sets)
    return dataclasses.replace(config, bundle=bundle, commands=commands, daemon=daemon)


def _beside(file: Path, named: str, shelf: Path) -> str:
    """What is there, seen from the file's folder, as an absolute path; any other name as it is."""
    place = file.absolute().parent / named
    return str(place) if is_meant(named, place, shelf) else named
