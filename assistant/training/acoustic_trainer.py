"""Training of the acoustic model from cached rows: CTC, random blocks, averaged weights.

Every batch draws its own block (centre rows and look-ahead, or the whole utterance), so that one
set of weights serves every delay. Runs alone or under `torchrun`, on CPU processes or GPUs.
"""

from __future__ import annotations

import csv
import math
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ..heap import give_back
from ..nn.precision import fastest
from .batches import Batch, Draw, Example, batches, collate
from .losses import training_loss
from .masking import MaskingConfig, masked
from .metrics import ErrorRate, greedy_phonemes, phoneme_error
from .rows import ROWS_PER_SECOND

REPORT_EVERY = 20
"""Updates between reports of loss and throughput."""


@dataclass(frozen=True)
class TrainingConfig:
    """How long and how hard."""

    passes: float = 2.0
    """Times the length of the speech; each pass draws one copy of every utterance."""
    minutes: float = 0.0
    """Time after which training is over, whatever `passes` says: for a machine lent by the minute.
    0 for none."""
    batch_rows: int = 2000
    """Rows a process and batch (25 rows are a second)."""
    learning_rate: float = 1e-3
    """AdamW's peak."""
    encoder_learning_rate: float = 5e-4
    """The same for the encoder, or for its update; 0 leaves it as it is."""
    weight_decay: float = 0.01
    """AdamW's."""
    warm_up: int = 100
    """Updates to the peak; a cosine goes down from there."""
    gradient_norm: float = 1.0
    """Gradients are clipped to this norm (Pascanu et al. 2013)."""
    full_context: float = 0.5
    """Probability that a batch is seen whole rather than in blocks."""
    blocks: tuple[tuple[int, int], ...] = (
        (16, 16),
        (16, 8),
        (12, 4),
        (8, 8),
        (8, 4),
        (4, 4),
        (2, 2),
    )
    """Centre and look-ahead rows drawn from."""
    teacher_weight: float = 0.7
    """Weight of a teacher's posteriors where there are some; the rest is CTC's."""
    consistency: float = 0.0
    """Weight of what two views of an utterance, each in its own noise and masks, differ by (CR-CTC,
    Yao et al. 2025, arXiv 2410.05101: 0.2); 0 for one view."""
    noise_alone: float = 0.0
    """Probability of noise in the place of an utterance, and nothing said (`DeviceSpeech`)."""
    truncate: int = 0
    """Rows over which errors flow back through time; 0 for the whole utterance."""
    masking: MaskingConfig = field(default_factory=MaskingConfig)
    """What is hidden of an utterance."""
    average: float = 0.998
    """Decay of the averaged weights, an update (Polyak & Juditsky 1992)."""
    evaluate_every: int = 200
    """Updates between measurements on the held-out speakers."""
    evaluate_at_most: int = 120
    """Utterances of a corpus measured on while training."""
    seed: int = 1

    @property
    def views(self) -> int:
        """Times that a batch has each of its utterances."""
        return 2 if self.consistency else 1


class AcousticTrainer:
    """The loop: batches, updates, averaged weights, checkpoints, the log."""

    def __init__(
        self,
        model: nn.Module,
        training: Sequence[Example],
        held_out: dict[str, list[Example]],
        config: TrainingConfig,
        folder: Path,
        device: torch.device,
        frames_per_row: int | None = None,
        draw: Draw = collate,
    ) -> None:
        """What is trained, on what, and where.

        Args:
            model: rows, lengths, centre, look-ahead, truncation to log-posteriors; its `encoder`,
                where it has one, learns at a rate of its own.
            training: examples of all processes. held_out: examples a corpus.
            folder: where the checkpoint and the log are kept. device: of this process.
            frames_per_row: log-mel frames side by side in a row; None where rows are the encoder's.
            draw: makes a batch of examples; by default of the copies in the cache.
        """
        self.rank = int(os.environ.get("RANK", "0"))
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        if self.world > 1:
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
        self.config, self.folder, self.device = config, folder, device
        self.model = model.to(device)
        self.average = {n: p.detach().clone() for n, p in model.state_dict().items()}
        self.frames_per_row, self.draw = frames_per_row, draw
        self.training = training[self.rank :: self.world]
        self.held_out = held_out
        encoder = [p for n, p in model.named_parameters() if _trained_encoder(n, p)]
        others = [p for n, p in model.named_parameters() if not n.startswith("encoder.")]
        groups = [{"params": others, "lr": config.learning_rate}]
        if encoder:
            groups.append({"params": encoder, "lr": config.encoder_learning_rate})
        self.optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
        self.peaks = [group["lr"] for group in self.optimizer.param_groups]
        rows = sum(e.length * e.draws for e in training) / self.world  # the same for every process
        self.updates = max(1, int(config.passes * rows * 1.1 * config.views / config.batch_rows))
        self.update, self.seconds = 0, 0.0
        folder.mkdir(parents=True, exist_ok=True)

    def run(self, began: float | None = None) -> None:
        """Train to the end, going on from a checkpoint where there is one.

        Args:
            began: since when the configured minutes count, by `time.perf_counter`: reading the
                speech takes some of them. By default they count from now.
        """
        self._resume()
        rng = np.random.default_rng([self.config.seed, self.rank, self.update])
        torch.manual_seed(self.config.seed + self.update)
        network: nn.Module = DistributedDataParallel(self.model) if self.world > 1 else self.model
        shared = np.random.default_rng([self.config.seed, self.update])
        source = batches(self.training, self.config.batch_rows // self.config.views, rng, shared)
        begin, rows = time.perf_counter(), 0
        losses: list[Tensor] = []
        before = self.seconds + (begin - began if began is not None else 0.0)
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
            share = self._share()
            while share < 1:
                batch = self.draw(next(source), rng)
                losses.append(self._step(network, batch, rng, share))
                self.seconds = before + time.perf_counter() - begin
                rows += int(batch.lengths.sum()) * self.world
                share = self._share()
                progress.update(task, completed=share * self.updates)
                rate = rows / ROWS_PER_SECOND / (time.perf_counter() - begin)
                if self.update % REPORT_EVERY == 0:
                    give_back()  # batches of many lengths leave the heap in pieces
                    loss = float(torch.stack(losses[-REPORT_EVERY:]).mean())
                    state = f"loss {loss:.3f}, {rate:.0f} s of audio a second"
                    progress.update(task, state=state)
                    if self.rank == 0 and not progress.console.is_terminal:
                        progress.console.print(f"{self.update}, {share:.1%}: {state}")
                if self.update % self.config.evaluate_every == 0 or share >= 1:
                    self._evaluate_and_save(float(torch.stack(losses).mean()), rate)
                    losses = []
        if self.world > 1:
            dist.destroy_process_group()

    def _share(self) -> float:
        """How much of the training is done: of its updates, or of its time; 1 at the end."""
        share = self.update / self.updates
        if self.config.minutes:
            share = max(share, self.seconds / 60 / self.config.minutes)
            if self.world > 1:  # the processes' clocks differ, and all must end alike
                told = torch.tensor([share], device=self.device)
                dist.broadcast(told, 0)
                share = float(told)
        return share

    def _step(
        self, network: nn.Module, batch: Batch, rng: np.random.Generator, share: float
    ) -> Tensor:
        config = self.config
        warm = min(1.0, (self.update + 1) / config.warm_up)
        cosine = 0.5 * (1 + math.cos(math.pi * share))
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"] = peak * warm * max(cosine, 0.01)
        rows = masked(
            batch.rows, batch.lengths, self.frames_per_row, ROWS_PER_SECOND, config.masking, rng
        )
        centre, lookahead = None, 0
        drawing = np.random.default_rng([config.seed, self.update])  # the same in all processes
        if drawing.random() >= config.full_context:
            centre, lookahead = config.blocks[int(drawing.integers(len(config.blocks)))]
        self.model.train()
        with fastest(self.device):
            log_probs = network(
                rows.to(self.device),
                batch.lengths.to(self.device),
                centre,
                lookahead,
                config.truncate or None,
            )
        loss = training_loss(log_probs, batch, config.teacher_weight, config.consistency)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), config.gradient_norm)
        self.optimizer.step()
        self.update += 1
        decay = min(config.average, (1 + self.update) / (10 + self.update))
        for name, value in self.model.state_dict().items():
            self.average[name].lerp_(value, 1 - decay)
        return loss.detach()

    def _evaluate_and_save(self, loss: float, rate: float) -> None:
        errors = self.evaluate()
        if self.rank == 0:
            row = {"update": self.update, "loss": round(loss, 4)}
            row |= {"audio_per_second": round(rate, 1)}
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
        errors = {}
        for corpus, examples in self.held_out.items():
            mine = examples[: self.config.evaluate_at_most][self.rank :: self.world]
            error = evaluate(self.model, mine, self.device, centre, lookahead, self.draw)
            counts = torch.tensor([error.errors, error.length])
            if self.world > 1:
                counts = counts.to(self.device)
                dist.all_reduce(counts)
            errors[corpus] = ErrorRate(*counts.tolist())
        self.model.load_state_dict(trained)
        return errors

    def _save(self) -> None:
        tensors = {f"model.{n}": v for n, v in self.model.state_dict().items()}
        tensors |= {f"average.{n}": v for n, v in self.average.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{n}": v for n, v in state.items()}
        temporary = self.folder / "checkpoint.tmp"
        # In one file: weights and their update cannot part where the machine stops in between.
        progress = {"update": str(self.update), "seconds": str(self.seconds)}
        save_file({n: v.contiguous() for n, v in tensors.items()}, temporary, progress)
        temporary.replace(self.folder / "checkpoint.safetensors")

    def _resume(self) -> None:
        path = self.folder / "checkpoint.safetensors"
        if not path.exists():
            return
        with safe_open(path, "pt") as file:
            progress = file.metadata()
        self.update = int(progress["update"])
        self.seconds = float(progress.get("seconds", 0.0))
        tensors = load_file(path)
        self.model.load_state_dict(_below("model.", tensors))
        self.average = {n: v.to(self.device) for n, v in _below("average.", tensors).items()}
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in _below("optimizer.", tensors).items():
            index, key = name.split(".")
            state.setdefault(int(index), {})[key] = value
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    examples: Sequence[Example],
    device: torch.device,
    centre: int | None = None,
    lookahead: int = 0,
    draw: Draw = collate,
) -> ErrorRate:
    """Greedy phoneme error of a model over examples, as `draw` gives them without a generator."""
    model.eval()
    total = ErrorRate(0, 0)
    ordered = sorted(examples, key=lambda e: e.length)
    for begin in range(0, len(ordered), 32):
        group = ordered[begin : begin + 32]
        batch = draw(group, None)
        with fastest(device):
            rows, lengths = batch.rows.to(device), batch.lengths.to(device)
            log_probs = model(rows, lengths, centre, lookahead).float().cpu()
        for one, length, example in zip(log_probs, batch.lengths, group, strict=True):
            total += phoneme_error(greedy_phonemes(one[: int(length)]), example.phonemes)
    return total


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): v for n, v in tensors.items() if n.startswith(prefix)}


def _trained_encoder(name: str, parameter: nn.Parameter) -> bool:
    return name.startswith("encoder.") and parameter.requires_grad
