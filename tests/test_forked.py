"""Work shared out over processes gives what one process would, in the same order."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from assistant.training.forked import PROCESSES, Together, spread

pytestmark = pytest.mark.skipif(PROCESSES == 1, reason="processes cannot be forked here")


def test_results_come_in_order_and_from_several_processes():
    found = spread(lambda i: (i, os.getpid()), 7)
    assert [i for i, _ in found] == list(range(7))
    assert len({process for _, process in found}) == PROCESSES


def test_one_item_needs_no_process():
    assert spread(lambda i: os.getpid(), 1) == [os.getpid()]


def test_a_share_that_fails_is_an_error(capfd):
    def work(number: int) -> int:
        if number == 1:
            raise ValueError("this one")
        return number

    with pytest.raises(RuntimeError, match="failed"):
        spread(work, 4)
    assert "this one" in capfd.readouterr().err


def test_every_process_is_told_the_mean_of_all():
    def work(shared: Together) -> list[list[float]]:
        own = torch.tensor([float(shared.rank), 10.0])
        return [shared.mean(own).tolist(), shared.mean(own[:1] * 4).tolist()]

    together = Together(2)
    middle = (PROCESSES - 1) / 2
    assert together.run(work) == [[middle, 10.0], [4 * middle]]


def test_a_process_that_dies_is_no_reason_to_wait_for_ever(monkeypatch):
    monkeypatch.setattr("assistant.training.forked.PATIENCE_S", 0.3)

    def work(shared: Together) -> None:
        if shared.rank:
            os.kill(os.getpid(), signal.SIGKILL)
        shared.mean(torch.zeros(1))

    with pytest.raises(RuntimeError):
        Together(1).run(work)
