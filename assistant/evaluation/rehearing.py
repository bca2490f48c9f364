"""The utterances that a report shows, heard once more: the same noise, the same decision.

A report keeps no sound. What it shows is mixed again by the same seed, and goes through the same
recogniser again: a few recordings, not all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..errors import AudioFileError
from ..features import LogMel
from ..types import SAMPLE_RATE, Samples
from .detail import Detail, Posteriors
from .items import Item
from .mixing import Snr, snr_name
from .recogniser import Heard
from .runner import Evaluation
from .worst import false_accepts, worst

AROUND_S = 0.5
"""Seconds of a negative that are kept before and after what was taken for a command."""


class Rehearing:
    """Hears recordings of an evaluation again."""

    def __init__(self, evaluation: Evaluation) -> None:
        """evaluation: that the reports were made by."""
        self.evaluation = evaluation
        self._log_mel = LogMel(evaluation.engine.acoustic.features)
        self._row_s = evaluation.engine.acoustic.features.row_ms / 1000

    def details(self, report: Mapping[str, Any]) -> list[Detail]:
        """Sounds and pictures of a report's worst utterances and false accepts.

        Recordings that are gone by now are left out.
        """
        tasks = {
            (task.item.path, None if task.negative else snr_name(task.snr)): task
            for task in reversed(self.evaluation.tasks)
        }
        found = []
        for slip in worst(report["utterances"]):
            task = tasks.get((slip.entry["path"], slip.entry["snr"]))
            if task is not None:
                found.append(self._positive(task.item, task.snr))
        for example in false_accepts(report.get("negatives")):
            task = tasks.get((example["path"], None))
            if task is not None:
                found.append(self._negative(task.item, example))
        return [detail for detail in found if detail is not None]

    def _positive(self, item: Item, snr: Snr) -> Detail | None:
        samples = self._samples(item, snr)
        if samples is None:
            return None
        settings = self.evaluation.settings
        heard = Heard()
        if settings.peer is None:  # a peer has no posteriors to show
            heard = self.evaluation.recogniser(settings.whole).decide(samples)
        return self._detail(item.path, snr_name(snr), samples, heard)

    def _negative(self, item: Item, example: Mapping[str, Any]) -> Detail | None:
        """The stretch of a recording that was taken for a command."""
        samples = self._samples(item, None)
        if samples is None:
            return None
        heard = self.evaluation.recogniser(whole=False).decide(samples)
        for decision, time in zip(heard.decisions, heard.times, strict=True):
            if (decision.intent, decision.text) == (example["intent"], example["text"]):
                around = round(AROUND_S * SAMPLE_RATE)
                stretch = samples[max(0, time.start - around) : time.end + around]
                return self._detail(item.path, None, stretch, Heard(), said=decision.text)
        return None

    def _samples(self, item: Item, snr: Snr) -> Samples | None:
        try:
            return self.evaluation.hear(item, snr)[0]
        except AudioFileError:
            return None

    def _detail(
        self,
        path: str,
        snr: str | float | None,
        samples: Samples,
        heard: Heard,
        said: str = "",
    ) -> Detail:
        acoustic = self.evaluation.engine.acoustic
        hop = acoustic.features.hop
        padded = np.pad(samples, (0, -len(samples) % hop))
        posteriors = tuple(
            Posteriors(time.start / SAMPLE_RATE, self._row_s, log_probs.float().numpy())
            for time, log_probs in zip(heard.times, heard.log_probs, strict=bool(heard.log_probs))
        )
        return Detail(
            path=path,
            snr=snr,
            samples=samples,
            log_mel=self._log_mel.whole(torch.from_numpy(padded)).numpy(),
            hop=hop / SAMPLE_RATE,
            posteriors=posteriors,
            phonemes=tuple(acoustic.phonemes) if posteriors else (),
            said=said,
        )
