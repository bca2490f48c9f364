"""Random numbers for a batch, one an utterance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Draws:
    """Draws from a seeded generator of numpy's, brought to a device; (count,) each."""

    count: int
    rng: np.random.Generator
    device: torch.device | str = "cpu"

    def chance(self, probability: float) -> Tensor:
        """True with a probability."""
        return torch.from_numpy(self.rng.random(self.count) < probability).to(self.device)

    def uniform(self, limits: tuple[float, float]) -> Tensor:
        """Float32 between the limits."""
        drawn = self.rng.uniform(*limits, self.count).astype(np.float32)
        return torch.from_numpy(drawn).to(self.device)

    def integers(self, lowest: int, highest: int) -> Tensor:
        """From the lowest to the highest, both included."""
        drawn = self.rng.integers(lowest, highest, self.count, endpoint=True)
        return torch.from_numpy(drawn).to(self.device)
