"""One process' part of an evaluation: what is read once, and recording after recording decided."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..engine import Engine
from ..errors import AudioFileError, UsageError
from ..grammar.phonemes import Phonemizer
from ..recording import read_file
from ..training.metrics import ErrorRate, greedy_phonemes, phoneme_error
from ..types import Samples
from ..vad import Endpointer
from .benchmark.machine import peak_mb
from .items import Item, Problem, Vocabulary, read_items
from .journal import Journal
from .mixing import Mixer, Snr
from .negatives import read_negatives
from .outcome import Cost, Outcome, rounded
from .peers.registry import load_peer
from .phonemes_alone import PhonemeEngine
from .provenance import key, made_from
from .recogniser import AssistantRecogniser, Heard, Peer, PeerRecogniser, Recogniser
from .settings import Settings


@dataclass(frozen=True, slots=True)
class Task:
    """A recording under a condition; `negative`: it holds no command.

    key: SHA-256 of everything that the outcome depends on.
    """

    item: Item
    snr: Snr
    negative: bool
    key: str


@dataclass(frozen=True)
class Evaluation:
    """What was read once, the same in every process.

    made_from: as the report has it. problems: what was wrong with the lists of recordings.
    """

    settings: Settings
    engine: Engine | PhonemeEngine
    mixer: Mixer
    made_from: dict[str, Any]
    tasks: tuple[Task, ...]
    problems: tuple[Problem, ...]

    @classmethod
    def load(cls, settings: Settings) -> Evaluation:
        """Read models, manifests and the list of noise.

        Raises:
            UsageError: the settings contradict one another, something is missing, or no line of the
                manifest can be evaluated.
        """
        settings.check()
        mixer = Mixer.of(settings.noise, settings.mixing, settings.reverb, settings.seed)
        engine: Engine | PhonemeEngine
        vocabulary = None
        if settings.with_commands:
            engine = Engine.load(settings.config)
            vocabulary = Vocabulary.of(engine.commands)
        else:
            engine = PhonemeEngine.load(settings.config)
        items, problems = read_items(settings.manifest, vocabulary)
        negatives: list[Item] = []
        if settings.negatives is not None:
            negatives, faults = read_negatives(
                settings.negatives, settings.speakers, settings.negatives_minutes, settings.seed
            )
            problems += faults
        facts = made_from(settings, engine, mixer)
        planned = [(item, snr, False) for snr in settings.snrs for item in items]
        planned += [(item, None, True) for item in negatives]
        tasks = tuple(Task(*plan, key(facts, *plan)) for plan in planned)
        return cls(settings, engine, mixer, facts, tasks, tuple(problems))

    def hear(self, item: Item, snr: Snr) -> tuple[Samples, str | None]:
        """A recording as it is under a condition: (N,), mono, 16 kHz; and what is wrong with it.

        Raises:
            AudioFileError: it cannot be read.
        """
        recording = read_file(item.file)
        samples = np.concatenate([np.zeros(0, np.float32), *recording])
        if not len(samples):
            raise AudioFileError(f"{item.file}: holds no samples; record it again")
        fault = None
        if recording.truncated:
            fault = "ends sooner than its header promises; evaluated as far as it goes"
        elif recording.invalid_samples:
            fault = f"{recording.invalid_samples} samples are no finite numbers; taken for silence"
        return self.mixer(samples, item.path, snr), fault

    def recogniser(self, whole: bool) -> Recogniser:
        """What is evaluated; negatives are a stream, and never `whole`."""
        if self.settings.peer is None:
            return AssistantRecogniser(self.engine, whole, self.settings.cut)
        endpointer = None if whole else Endpointer(self.engine.config.endpoint)
        return PeerRecogniser(self.settings.peer, self._peer, endpointer)

    @cached_property
    def _peer(self) -> Peer:
        """Loaded once, when it is first asked for."""
        if self.settings.peer is None or not isinstance(self.engine, Engine):
            raise UsageError("no peer to be evaluated; give its name and --commands")
        return load_peer(self.settings.peer, self.engine)

    def share(
        self,
        rank: int,
        world: int,
        journal: Journal,
        advance: Callable[[], None] = lambda: None,
    ) -> dict[str, Outcome]:
        """Every `world`-th task from `rank` on, by key; those in the journal are not done again."""
        done = journal.read()
        mine = self.tasks[rank::world]
        decide = {
            negative: self.recogniser(self.settings.whole and not negative)
            for negative in {task.negative for task in mine if task.key not in done}
        }
        phonemizer = Phonemizer(self.engine.acoustic.language)
        for task in mine:
            if task.key not in done:
                done[task.key] = self._outcome(task, decide[task.negative], phonemizer)
                journal.write(task.key, done[task.key])
            advance()
        return {task.key: done[task.key] for task in mine}

    def _outcome(self, task: Task, recogniser: Recogniser, phonemizer: Phonemizer) -> Outcome:
        begin = time.perf_counter()
        try:
            samples, fault = self.hear(task.item, task.snr)
        except AudioFileError as error:
            return Outcome(fault=str(error).removeprefix(f"{task.item.file}: "))
        try:
            heard = recogniser.decide(samples)
        except UsageError as error:  # it is longer than the encoder hears
            return Outcome(fault=str(error))
        return Outcome(
            decisions=tuple(rounded(d) for d in heard.decisions),
            times=heard.times,
            samples=len(samples),
            phonemes=self._phonemes(task.item, heard, phonemizer),
            fault=fault,
            cost=Cost(time.perf_counter() - begin, heard.decision_ms, peak_mb()),
        )

    def _phonemes(self, item: Item, heard: Heard, phonemizer: Phonemizer) -> ErrorRate | None:
        """Errors of the greedily decoded phonemes of all utterances, in the order of time."""
        if item.text is None or self.settings.peer is not None:
            return None  # a peer tells no phonemes
        reference = self.engine.acoustic.phoneme_ids(phonemizer.phonemes(item.text))
        decoded = [p for log_probs in heard.log_probs for p in greedy_phonemes(log_probs)]
        return phoneme_error(decoded, reference)
