"""Comparisons: exact p-values, paired intervals, and what cannot be paired is counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from evaluation_example import report, utterance
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.errors import UsageError
from assistant.evaluation.comparison import compare, read_report
from assistant.evaluation.significance import bootstrap, clusters_of, mcnemar, same_rate

SCENE = {"intent": "setScene", "slots": {}}


# ── figures known from elsewhere ───────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("won", "lost", "expected"),
    [(0, 0, 1.0), (1, 0, 1.0), (6, 0, 2 / 64), (0, 6, 2 / 64), (5, 5, 1.0), (9, 1, 22 / 1024)],
)
def test_mcnemars_exact_test_is_the_binomials(won: int, lost: int, expected: float) -> None:
    assert mcnemar(won, lost) == pytest.approx(expected)


def test_mcnemar_of_very_many_changes_is_a_number() -> None:
    assert 0 <= mcnemar(3000, 2000) < 1e-40 and mcnemar(2500, 2500) == 1.0


def test_counts_over_hours_are_a_binomial() -> None:
    assert same_rate(0, 1.0, 0, 2.0) == 1.0
    assert same_rate(6, 1.0, 0, 1.0) == pytest.approx(2 / 64)
    assert same_rate(2, 2.0, 1, 1.0) == pytest.approx(1.0)  # the same rate
    # (1/4)⁴ of four in a quarter of the time; none of the other ways is as improbable.
    assert same_rate(4, 1.0, 0, 3.0) == pytest.approx(1 / 256)


@settings(max_examples=15)
@given(st.lists(st.booleans(), min_size=2, max_size=40), st.integers(0, 5))
def test_an_interval_holds_what_was_measured(values: list[bool], seed: int) -> None:
    numbers = np.array(values, float)
    low, high = bootstrap(lambda w: w @ numbers / len(values), np.arange(len(values)), seed)
    assert low <= numbers.mean() <= high
    assert low >= 0 and high <= 1


def test_an_interval_is_as_wide_as_theory_says() -> None:
    """A rate of one half of 400: ±1.96 · √(1/4 / 400) = ±0.049."""
    numbers = np.arange(400) % 2
    low, high = bootstrap(lambda w: w @ numbers / 400, np.arange(400), 0)
    assert (low, high) == (pytest.approx(0.451, abs=0.004), pytest.approx(0.549, abs=0.004))


def test_few_speakers_make_a_wide_interval() -> None:
    """Ten recordings of a speaker who is always right and one who never is are two, not twenty."""
    speakers = [name for name in ("ann", "bob") for _ in range(10)]
    numbers = np.repeat([1.0, 0.0], 10)

    def rate(weights: np.ndarray) -> np.ndarray:
        return weights @ numbers / weights.sum(axis=1)

    assert bootstrap(rate, clusters_of(speakers), 0) == (0.0, 1.0)
    assert bootstrap(rate, clusters_of([None] * 20), 0) != (0.0, 1.0)
    assert len(set(clusters_of(["ann"] * 20))) == 20  # one speaker has no spread of speakers


# ── pairing ────────────────────────────────────────────────────────────────────────────────


def test_what_changed_is_told_condition_by_condition() -> None:
    here = report(
        utterance("a"),
        utterance("b", errors=1),
        utterance("c", got=SCENE),
        utterance("a", 6.0, got=None),
    )
    there = report(
        utterance("a"),
        utterance("b", got=None, errors=4),
        utterance("c", got=None),
        utterance("a", 6.0),
    )
    clean, noisy = compare(here, there).conditions
    assert (clean.snr, clean.pairs) == ("clean", 3)
    assert clean.exact is not None and (clean.exact.won, clean.exact.lost) == (1, 0)
    assert clean.exact.share.here == pytest.approx(2 / 3)
    assert clean.exact.share.difference == pytest.approx(1 / 3)
    assert clean.phoneme_error is not None
    assert clean.phoneme_error.difference == pytest.approx(-3 / 30)
    (changed,) = clean.changed
    assert (changed.path, changed.right_here, changed.there) == ("b", True, "refused")
    assert changed.here == 'setLight room="kitchen" state="on"'
    assert (noisy.exact.lost, noisy.exact.p_value, noisy.changed[0].right_here) == (1, 1.0, False)


def test_a_report_is_no_different_from_itself() -> None:
    same = report(utterance("a"), utterance("b", got=None), utterance("c", got=SCENE))
    (only,) = compare(same, same).conditions
    assert only.exact.share.interval == (0, 0) and only.exact.p_value == 1 and not only.changed
    assert compare(same, same).made_differently == ()


def test_exact_and_strict_are_compared_apart() -> None:
    here = report(utterance("a", strict=False), utterance("b"))
    (only,) = compare(here, report(utterance("a"), utterance("b"))).conditions
    assert (only.exact.lost, only.strict.lost) == (0, 1)


def test_what_has_no_partner_is_counted() -> None:
    here = report(utterance("a"), utterance("new"), utterance("relabelled"), utterance("a", 24.0))
    there = report(
        utterance("a"),
        utterance("gone"),
        utterance("gone too"),
        utterance("relabelled", expected=SCENE, got=SCENE),
        utterance("a", 6.0),
    )
    found = compare(here, there)
    (clean,) = found.conditions
    assert (clean.pairs, clean.only_here, clean.only_there, clean.relabelled) == (1, 1, 2, 1)
    assert found.unshared == (24.0, 6.0)


def test_the_order_of_a_report_does_not_matter_and_a_seed_decides() -> None:
    entries = [utterance(str(i), got=None if i % 3 else SCENE, exact=i % 3 == 0) for i in range(30)]
    other = report(*(utterance(str(i)) for i in range(30)))
    first = compare(report(*entries), other).conditions[0].exact
    turned = report(*other["utterances"][::-1])
    assert first == compare(report(*entries), turned).conditions[0].exact


def test_a_recording_that_is_listed_twice_is_two_pairs() -> None:
    twice = report(utterance("a"), utterance("a", got=None))
    (only,) = compare(twice, report(utterance("a", got=None), utterance("a"))).conditions
    assert (only.pairs, only.exact.won, only.exact.lost) == (2, 1, 1)


def test_without_text_there_is_no_phoneme_error() -> None:
    silent = report(utterance("a", phonemes=None))
    assert compare(silent, report(utterance("a"))).conditions[0].phoneme_error is None


def test_what_has_no_labels_is_compared_by_its_phonemes_alone() -> None:
    unlabelled = report({**utterance("a", errors=2), "exact": None, "strict": None})
    (only,) = compare(unlabelled, unlabelled).conditions
    assert only.exact is None and only.strict is None and not only.changed
    assert only.phoneme_error is not None and only.phoneme_error.here == 0.2


def test_figures_are_counted_over_what_they_are_measured_by() -> None:
    """One pair without labels, one without text, and one with both."""
    unlabelled = {**utterance("a", errors=2), "exact": None, "strict": None}
    same = report(unlabelled, utterance("b", phonemes=None), utterance("c"))
    (only,) = compare(same, same).conditions
    assert only.pairs == 3
    assert (only.exact.share.pairs, only.strict.share.pairs, only.phoneme_error.pairs) == (2, 2, 2)


def test_several_commands_are_not_called_refused() -> None:
    several = utterance("a", got=None, reason="2 commands were heard: 'light on', 'light on'")
    (only,) = compare(report(several), report(utterance("a"))).conditions
    assert only.changed[0].here == several["reason"]


def test_false_accepts_are_compared_by_the_hour() -> None:
    here, there = report(utterance("a")), report(utterance("a"))
    there["negatives"] = {**there["negatives"], "false_accepts": 7, "hours": 0.5}
    found = compare(here, there).false_accepts
    assert found is not None and (found.here, found.there) == (1, 7)
    assert found.p_value == pytest.approx(2 * (1 + 8) / 2**8)
    there["negatives"] = None
    assert compare(here, there).false_accepts is None


def test_what_was_made_from_something_else_is_told() -> None:
    there = report(utterance("a"))
    there["made_from"] = {**there["made_from"], "seed": 7, "versions": {"torch": "1"}}
    told = compare(report(utterance("a")), there).made_differently
    assert ("seed", "0", "7") in told and ("versions.torch", "2", "1") in told
    assert ("versions.numpy", "2", "–") in told and "bundle" not in {key for key, *_ in told}


# ── errors ─────────────────────────────────────────────────────────────────────────────────


def test_reports_of_other_recordings_are_refused() -> None:
    with pytest.raises(UsageError, match="no recording"):
        compare(report(utterance("a")), report(utterance("b")))
    with pytest.raises(UsageError, match="no recording"):
        compare(report(utterance("a")), report(utterance("a", 6.0)))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "no report"),
        ("[]", "no report"),
        ('{"version": 1}', "no report"),
        (json.dumps({**report(utterance("a")), "version": 2}), "version 2, not 1"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path: Path, content: str, told: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=told) as refused:
        read_report(path)
    assert str(path) in str(refused.value) and "\n" not in str(refused.value)


def test_a_report_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_report(tmp_path / "none.json")
    path = tmp_path / "there.json"
    path.write_text(json.dumps(report(utterance("a"))), encoding="utf-8")
    assert read_report(path)["made_from"]["bundle"] == "en-us"
