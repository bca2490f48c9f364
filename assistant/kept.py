"""The last utterance as it is kept for `assistant explain`: log-posteriors and what was decided.

One safetensors file in the user's state folder, readable by its owner alone: `log_probs` as
float16, and the rest as JSON in the file's own header, so that both are replaced at once. It holds
no sound. Writing happens on a thread of its own, and what goes wrong there is one warning.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .config import DecisionConfig, from_mapping
from .errors import AssistantError, UsageError
from .resources import state_folder
from .types import Hypothesis, Rejection, Utterance, WordTime

NAME = "last.safetensors"
VERSION = 1
"""Of the form; what another version kept is not read."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Listener:
    """What heard an utterance: folders as absolute paths, with the hashes of what lay there.

    acoustic_hash: of the acoustic bundle, as `AcousticBundle.hash`. source_hash: of the command
    files. row_ms: milliseconds of a row of posteriors. commands_hash: of the compiled command set,
    as `CommandBundle.hash`; empty where an older version kept the utterance.
    """

    bundle: str
    acoustic_hash: str
    commands: str
    source_hash: str
    row_ms: float
    decision: DecisionConfig
    commands_hash: str = ""


@dataclass(frozen=True, slots=True)
class KeptUtterance:
    """An utterance, who heard it, where it comes from (empty: the microphone) and when (ISO)."""

    utterance: Utterance
    listener: Listener
    file: str
    when: str


class Keeper:
    """Keeps the last of the utterances it observes; leaving its context waits for the write.

    Attributes:
        file: where the utterances come from; empty for the microphone.
    """

    def __init__(self, listener: Listener, enabled: bool = True) -> None:
        """enabled: else nothing is kept, and what was kept before stays."""
        self.file = ""
        self._listener = listener
        self._enabled = enabled
        self._latest: deque[KeptUtterance] = deque(maxlen=1)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="keeper")

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._executor.shutdown()

    def observe(self, utterance: Utterance) -> None:
        """Keep this one from now on; returns at once."""
        if self._enabled:
            now = datetime.now(UTC).isoformat(timespec="seconds")
            self._latest.append(KeptUtterance(utterance, self._listener, self.file, now))
            self._executor.submit(self._write_latest)

    def _write_latest(self) -> None:
        try:
            kept = self._latest.pop()
        except IndexError:  # a newer one was written in its place
            return
        try:
            write_kept(kept)
        except (OSError, RuntimeError, SafetensorError) as error:  # RuntimeError: no home folder
            self._enabled = False
            reason = getattr(error, "strerror", None) or error
            log.warning("the last utterance is not kept for 'assistant explain': %s", reason)


def write_kept(kept: KeptUtterance, folder: Path | None = None) -> None:
    """Put `kept` in the place of what was kept before, in `folder` or the user's state folder.

    Raises:
        OSError: it cannot be written; what was kept before is still there.
        RuntimeError: the user has no home folder.
    """
    folder = folder or state_folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    utterance = kept.utterance
    facts = {
        "version": VERSION,
        "when": kept.when,
        "file": kept.file,
        "start": utterance.start,
        "end": utterance.end,
        "decision": _decision_facts(utterance.decision),
        "listener": asdict(kept.listener),
    }
    tensors = {"log_probs": utterance.log_probs.numpy().astype(np.float16)}
    # In ASCII: a file's name may be no text, which JSON has an escape for and UTF-8 has not.
    content = save(tensors, {"utterance": json.dumps(facts)})
    # A file of its own for each writer, of mode 0600: several may listen at a time.
    handle, name = tempfile.mkstemp(prefix=f".{NAME}-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(name).replace(folder / NAME)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_kept(folder: Path | None = None) -> KeptUtterance:
    """What was kept last.

    Raises:
        UsageError: nothing was kept yet, or the file is damaged.
    """
    path = (folder or state_folder()) / NAME
    if not path.is_file():
        raise UsageError(
            f"no utterance is kept in {path.parent}; let 'assistant recognize' or 'assistant "
            "listen' hear one, or name a recording"
        )
    try:
        with safe_open(path, "pt") as file:
            log_probs = file.get_tensor("log_probs").float()
            facts = json.loads(file.metadata()["utterance"])
        return _kept(facts, log_probs)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AssistantError) as error:
        raise UsageError(
            f"{path}: damaged, or of another version of the assistant; let it hear something new"
        ) from error


def _kept(facts: dict[str, Any], log_probs: torch.Tensor) -> KeptUtterance:
    if facts["version"] != VERSION or log_probs.ndim != 2:
        raise ValueError("another version")
    listener = facts["listener"]
    config = from_mapping(DecisionConfig, listener["decision"], NAME)
    decided = facts["decision"]
    best = None if decided["best"] is None else _hypothesis(decided["best"])
    decision = best if decided["rejected"] is None else Rejection(decided["rejected"], best)
    if decision is None:
        raise ValueError("neither accepted nor rejected")
    return KeptUtterance(
        Utterance(int(facts["start"]), int(facts["end"]), log_probs, decision),
        Listener(**{**listener, "decision": config}),
        facts["file"],
        facts["when"],
    )


def _decision_facts(decision: Hypothesis | Rejection) -> dict[str, Any]:
    if isinstance(decision, Hypothesis):
        return {"rejected": None, "best": asdict(decision)}
    best = asdict(decision.best) if decision.best is not None else None
    return {"rejected": decision.reason, "best": best}


def _hypothesis(facts: dict[str, Any]) -> Hypothesis:
    words = tuple(WordTime(**word) for word in facts["words"])
    return Hypothesis(**{**facts, "words": words})
