"""What an evaluation is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..config import AssistantConfig
from ..errors import UsageError
from .mixing import Mixing, Snr


@dataclass(frozen=True)
class Settings:
    """One evaluation, as the command line describes it."""

    manifest: Path
    config: AssistantConfig = field(default_factory=AssistantConfig)
    """Bundle, command set, device, early commit and thresholds."""
    with_commands: bool = True
    """Whether commands are decided; else phoneme error alone is measured."""
    peer: str | None = None
    """Name of another recogniser that is evaluated in the assistant's place."""
    snrs: tuple[Snr, ...] = (None,)
    """Conditions, in the order of the report."""
    noise: tuple[Path, ...] = ()
    """Recordings of noise, or folders of them."""
    mixing: Mixing = Mixing.MEAN
    reverb: bool = False
    """Whether every recording is heard through a simulated room."""
    cut: int | None = None
    """Samples fed at a time; the results are the same for any."""
    whole: bool = False
    """Whether each recording is one utterance, without VAD."""
    negatives: Path | None = None
    """Speech without commands: a manifest, or a folder of recordings."""
    speakers: Path | None = None
    """A file of names, one a line: negatives of other speakers are left out."""
    negatives_minutes: float | None = None
    """Minutes of negatives that are enough; drawn by the seed."""
    seed: int = 0
    """Of all that is drawn: noise, rooms, negatives, bootstraps."""

    def check(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            UsageError: it does, with the remedy.
        """
        rules = (
            (
                not self.noise and any(snr is not None for snr in self.snrs),
                "--snr: conditions with noise need --noise, a recording or a folder of them",
            ),
            (
                bool(self.noise) and all(snr is None for snr in self.snrs),
                "--noise: nothing would be mixed with it; give --snr, such as --snr clean,15,6",
            ),
            (self.negatives is None and self.speakers is not None, "--speakers needs --negatives"),
            (
                self.negatives is None and self.negatives_minutes is not None,
                "--negatives-minutes needs --negatives",
            ),
            (
                self.negatives is not None and not self.with_commands,
                "--negatives needs --commands: without them nothing can be taken for one",
            ),
            (
                self.peer is not None and not self.with_commands,
                "--peer needs --commands: a peer is asked for commands, not for phonemes",
            ),
            (
                self.peer is not None and self.config.early_commit,
                "--peer and --early-commit exclude each other: a peer decides whole utterances",
            ),
            (
                self.peer is not None and self.config.decision.false_alarms_per_hour is not None,
                "--peer and --false-alarms-per-hour exclude each other: how often a peer is wrong "
                "is not known; read the threshold from the DET curve of its report",
            ),
            (
                self.whole and self.config.early_commit,
                "--whole and --early-commit exclude each other; without VAD there are no pauses",
            ),
        )
        for wrong, message in rules:
            if wrong:
                raise UsageError(message)
