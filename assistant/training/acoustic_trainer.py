"""Training of the acoustic model from cached rows: CTC, random blocks, averaged weights.

Every batch draws its own block (centre rows and look-ahead, or the whole utterance), so that one
set of weights serves every delay. Runs alone or under `torchrun`, on CPU processes or GPUs.
"""

from __future__ import annotations

import csv
import json
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..nn.acoustic_model import AcousticModel
from .batches import Batch, Example, batches, collate
from .feature_cache import ROWS_PER_SECOND
from .metrics import ErrorRate, greedy_phonemes, phoneme_error

REPORT_EVERY = 20
"""Updates between reports of loss and throughput."""


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how hard."""

    passes: float = 8.0
    """Times the length of one copy of the speech; each pass draws one copy of every utterance."""
    batch_rows: int = 3000
    """Rows a process and batch (25 rows are a second)."""
    learning_rate: float = 2e-3
    """AdamW's peak."""
    weight_decay: float = 0.01
    """AdamW's."""
    warm_up: int = 200
    """Updates to the peak; a cosine goes down from there."""
    gradient_norm: float = 1.0
    """Gradients are clipped to this norm (Pascanu et al. 2013)."""
    full_context: float = 0.6
    """Probability that a batch is seen whole rather than in blocks."""
    centres: tuple[int, ...] = (8, 16, 32)
    """Centre rows drawn from."""
    lookaheads: tuple[int, ...] = (0, 4, 8)
    """Look-ahead rows drawn from."""
    time_masks: int = 2
    """Stretches of rows set to the mean, an utterance (Park et al. 2019)."""
    time_mask_rows: int = 6
    """Longest such stretch."""
    average: float = 0.998
    """Decay of the averaged weights, an update (Polyak & Juditsky 1992)."""
    evaluate_every: int = 500
    """Updates between measurements on the held-out speakers."""
    seed: int = 1


def mask_time(rows: Tensor, mean: Tensor, config: TrainingConfig, rng: np.random.Generator) -> None:
    """Set random stretches of every utterance to the mean row, in place."""
    for utterance in rows:
        for _ in range(config.time_masks):
            width = int(rng.integers(0, config.time_mask_rows + 1))
            begin = int(rng.integers(0, max(1, len(utterance) - width)))
            utterance[begin : begin + width] = mean


class AcousticTrainer:
    """The loop: batches, updates, averaged weights, checkpoints, the log."""

    def __init__(
        self,
        model: AcousticModel,
        training: Sequence[Example],
        held_out: dict[str, list[Example]],
        config: TrainingConfig,
        folder: Path,
        device: torch.device,
    ) -> None:
        """held_out: examples a corpus. folder: where the checkpoint and the log are kept."""
        self.rank, self.world = (
            int(os.environ.get("RANK", "0")),
            int(os.environ.get("WORLD_SIZE", "1")),
        )
        if self.world > 1:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        if device.type == "cuda":  # every process of this machine has a GPU of its own
            device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        self.config, self.folder, self.device = config, folder, device
        self.model = model.to(device)
        self.average = {n: p.detach().clone() for n, p in model.state_dict().items()}
        self.training = training[self.rank :: self.world]
        self.held_out = held_out
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        rows = sum(e.length for e in training) / self.world  # the same for every process
        self.updates = max(1, int(config.passes * rows * 1.1 / config.batch_rows))
        self.update = 0
        folder.mkdir(parents=True, exist_ok=True)

    def run(self) -> None:
        """Train to the end, going on from a checkpoint where there is one."""
        self._resume()
        rng = np.random.default_rng([self.config.seed, self.rank, self.update])
        torch.manual_seed(self.config.seed + self.update)
        network: nn.Module = DistributedDataParallel(self.model) if self.world > 1 else self.model
        source = batches(self.training, self.config.batch_rows, rng)
        begin, rows, losses = time.perf_counter(), 0, []
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, disable=self.rank > 0) as progress:
            task = progress.add_task(
                "training", total=self.updates, completed=self.update, state=""
            )
            while self.update < self.updates:
                batch = collate(next(source), rng)
                losses.append(self._step(network, batch, rng))
                rows += int(batch.lengths.sum()) * self.world
                progress.advance(task)
                rate = rows / ROWS_PER_SECOND / (time.perf_counter() - begin)
                if self.update % REPORT_EVERY == 0:
                    loss = np.mean(losses[-REPORT_EVERY:])
                    state = f"loss {loss:.3f}, {rate:.0f} s of audio a second"
                    progress.update(task, state=state)
                    if self.rank == 0 and not progress.console.is_terminal:
                        progress.console.print(f"{self.update} of {self.updates}: {state}")
                if self.update % self.config.evaluate_every == 0 or self.update == self.updates:
                    self._evaluate_and_save(float(np.mean(losses)), rate)
                    losses = []
        if self.world > 1:
            dist.destroy_process_group()

    def _step(self, network: nn.Module, batch: Batch, rng: np.random.Generator) -> float:
        config = self.config
        warm = min(1.0, (self.update + 1) / config.warm_up)
        cosine = 0.5 * (1 + math.cos(math.pi * self.update / self.updates))
        for group in self.optimizer.param_groups:
            group["lr"] = config.learning_rate * warm * max(cosine, 0.01)
        mask_time(batch.rows, self.model.mean, config, rng)
        centre, lookahead = None, 0
        if rng.random() >= config.full_context:
            centre = int(rng.choice(config.centres))
            lookahead = int(rng.choice(config.lookaheads))
        self.model.train()
        with torch.autocast(self.device.type, torch.bfloat16):
            log_probs = network(
                batch.rows.to(self.device), batch.lengths.to(self.device), centre, lookahead
            )
        loss = ctc_loss(log_probs, batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), config.gradient_norm)
        self.optimizer.step()
        self.update += 1
        decay = min(config.average, (1 + self.update) / (10 + self.update))
        for name, value in self.model.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)
        return float(loss.detach())

    def _evaluate_and_save(self, loss: float, rate: float) -> None:
        if self.rank == 0:
            errors = self.evaluate()
            row = {
                "update": self.update,
                "loss": round(loss, 4),
                "audio_per_second": round(rate, 1),
            }
            row |= {corpus: round(e.rate, 4) for corpus, e in errors.items()}
            log = self.folder / "log.csv"
            new = not log.exists()
            with log.open("a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, row.keys())
                if new:
                    writer.writeheader()
                writer.writerow(row)
            self._save()
        if self.world > 1:
            dist.barrier()

    def evaluate(self, centre: int | None = None, lookahead: int = 0) -> dict[str, ErrorRate]:
        """Greedy phoneme error of the averaged weights, a corpus, at full context or blocked."""
        trained = {n: v.clone() for n, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.average)
        errors = {
            corpus: evaluate(self.model, examples, centre, lookahead)
            for corpus, examples in self.held_out.items()
        }
        self.model.load_state_dict(trained)
        return errors

    def _save(self) -> None:
        tensors = {f"model.{n}": v for n, v in self.model.state_dict().items()}
        tensors |= {f"average.{n}": v for n, v in self.average.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{n}": v for n, v in state.items()}
        temporary = self.folder / "checkpoint.tmp"
        save_file({n: v.contiguous() for n, v in tensors.items()}, temporary)
        temporary.replace(self.folder / "checkpoint.safetensors")
        (self.folder / "progress.json").write_text(json.dumps({"update": self.update}))

    def _resume(self) -> None:
        path = self.folder / "checkpoint.safetensors"
        if not path.exists():
            return
        tensors = load_file(path)
        self.update = json.loads((self.folder / "progress.json").read_text())["update"]
        self.model.load_state_dict(_below("model.", tensors))
        self.average = _below("average.", tensors)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer.", tensors).items():
            index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


def ctc_loss(log_probs: Tensor, batch: Batch) -> Tensor:
    """Connectionist temporal classification (Graves et al. 2006), mean a phoneme of the batch."""
    losses = nn.functional.ctc_loss(
        log_probs.transpose(0, 1).float(),
        batch.phonemes,
        batch.lengths,
        batch.phoneme_lengths,
        reduction="none",
        zero_infinity=True,
    )
    return losses.sum() / batch.phoneme_lengths.sum()


@torch.inference_mode()
def evaluate(
    model: AcousticModel, examples: Sequence[Example], centre: int | None = None, lookahead: int = 0
) -> ErrorRate:
    """Greedy phoneme error of a model over examples (their first copy)."""
    model.eval()
    device = model.mean.device
    total = ErrorRate(0, 0)
    ordered = sorted(examples, key=lambda e: e.length)
    for begin in range(0, len(ordered), 32):
        group = ordered[begin : begin + 32]
        batch = collate(group, None)
        log_probs = model(batch.rows.to(device), batch.lengths.to(device), centre, lookahead).cpu()
        for one, length, example in zip(log_probs, batch.lengths, group, strict=True):
            total += phoneme_error(greedy_phonemes(one[: int(length)]), example.phonemes)
    return total


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}
