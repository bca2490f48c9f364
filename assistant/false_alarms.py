"""False alarms: how often other people's talk would be taken for a command, and what that costs.

When commands are compiled, speech that has nothing to do with them is decided like an utterance;
the confidences of what came nearest are kept. Few of them lie near a useful threshold, so the rate
beyond what was seen is read off their tail: the excess of log-odds over a high level is close to
exponential (peaks over threshold: Pickands 1975; Coles 2001, chapter 4).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .errors import ConfigError

TAIL = 20
"""Confidences kept: those of the utterances nearest to a command."""
CERTAIN = 1e-6
"""Confidences are taken to be this far from 0 and 1 at least."""
FEWEST = 5
"""Confidences below which there is no tail to speak of."""


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """hours: how much other speech was decided. confidences: the highest, the highest first."""

    hours: float = 0.0
    confidences: tuple[float, ...] = ()

    @property
    def is_measured(self) -> bool:
        """Whether there is enough to tell a rate from."""
        return self.hours > 0 and len(self.confidences) >= FEWEST

    def per_hour(self, threshold: float) -> float:
        """False alarms an hour of speech at a threshold of confidence.

        Below the lowest confidence kept it is that one's rate: there are at least so many.

        Raises:
            ConfigError: nothing was measured.
        """
        level, excess, rate = self._tail()
        return rate * math.exp(-max(0.0, log_odds(threshold) - level) / excess)

    def threshold(self, per_hour: float) -> float:
        """The lowest confidence at which there are at most `per_hour` false alarms an hour.

        Raises:
            ConfigError: nothing was measured, or `per_hour` is not positive.
        """
        if not per_hour > 0:
            raise ConfigError(
                f"false alarms per hour: expected more than 0, found {per_hour:g}; "
                "0.1 is one in ten hours of other people's talk"
            )
        level, excess, rate = self._tail()
        return _probability(level + excess * max(0.0, math.log(rate / per_hour)))

    def raised(self, shift: float) -> FalseAlarms:
        """The same where the log-odds of all confidences are raised by `shift`."""
        raised = (_probability(log_odds(c) + shift) for c in self.confidences)
        return FalseAlarms(self.hours, tuple(raised))

    def _tail(self) -> tuple[float, float, float]:
        """The level above which the tail is exponential, its mean excess, and its rate an hour."""
        if not self.is_measured:
            raise ConfigError(
                "false alarms of these commands were not measured; "
                "compile them again (assistant train)"
            )
        *above, level = (log_odds(confidence) for confidence in self.confidences)
        excess = sum(above) / len(above) - level
        return level, max(excess, 1e-3), len(above) / self.hours


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))


def log_odds(confidence: float, certain: float = CERTAIN) -> float:
    """In nats, of a confidence at least `certain` away from 0 and 1."""
    inside = min(max(confidence, certain), 1 - certain)
    return math.log(inside / (1 - inside))
