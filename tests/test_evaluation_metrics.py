"""Figures of an evaluation, against what is worked out by hand or in a table."""

from pathlib import Path

import pytest

from assistant.errors import UsageError
from assistant.evaluation import detection, intervals, latency, metrics
from assistant.evaluation.items import Item
from assistant.evaluation.metrics import Result
from assistant.evaluation.outcome import Outcome
from assistant.evaluation.recogniser import Decision, Times, of_recording
from assistant.evaluation.requirements import Requirement
from assistant.training.metrics import ErrorRate
from assistant.types import SAMPLE_RATE

ON = Decision("light", {"state": "on"}, "light on", 0.9)
OFF = Decision("light", {"state": "off"}, "light off", 0.8)
REFUSED = Decision(None, {"state": "on"}, "light on", 0.3, "light", "not a command")


def result(*decisions, line=1, speaker=None, times=(), **labels):
    labels = {"intent": "light", "slots": {"state": "on"}, **labels}
    item = Item(line, f"{line}.wav", Path(f"{line}.wav"), speaker=speaker, **labels)
    return Result(item, None, Outcome(decisions, times, samples=SAMPLE_RATE))


# ── intervals ──────────────────────────────────────────────────────────────────────────────


def test_wilson_is_that_of_the_table():
    assert intervals.wilson(155, 155) == pytest.approx((0.9758, 1.0), abs=1e-4)
    assert intervals.wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert intervals.wilson(0, 5)[0] == 0.0


def test_poisson_is_garwoods():
    assert intervals.poisson(0) == pytest.approx((0.0, 3.6889), abs=1e-4)
    assert intervals.poisson(1) == pytest.approx((0.0253, 5.5716), abs=1e-4)
    assert intervals.poisson(10) == pytest.approx((4.7954, 18.3904), abs=1e-3)
    assert intervals.poisson(400) == pytest.approx((361.76, 441.19), abs=0.05)


def test_a_bootstrap_draws_speakers():
    """Ten recordings of two speakers who disagree are worth two, not ten."""
    right = [1] * 10 + [0] * 10
    by_speaker = intervals.bootstrap(right, [1] * 20, ["a"] * 10 + ["b"] * 10, 0)
    by_recording = intervals.bootstrap(right, [1] * 20, [str(n) for n in range(20)], 0)
    assert by_speaker == (0.0, 1.0)
    assert 0.2 < by_recording[0] < 0.4
    assert by_recording == intervals.bootstrap(right, [1] * 20, [str(n) for n in range(20)], 0)


def test_a_bootstrap_of_the_like_is_no_certainty():
    assert intervals.bootstrap([1] * 20, [1] * 20, ["a"] * 10 + ["b"] * 10, 0) == (
        intervals.wilson(2, 2)
    )


def test_one_group_is_no_certainty_either():
    assert intervals.bootstrap([1] * 140 + [0] * 15, [1] * 155, ["me"] * 155, 0) is None


def test_the_recordings_of_one_speaker_are_what_is_drawn():
    right = [result(ON, line=n, speaker="me") for n in range(155)]
    alone = metrics.condition(right, None, 0)
    assert alone["exact_interval"] == [round(e, 6) for e in intervals.wilson(155, 155)]
    assert alone["slot_f1_interval"] == alone["exact_interval"]
    mixed = [*right[:140], *(result(OFF, line=n, speaker="me") for n in range(140, 155))]
    found = metrics.condition(mixed, None, 0)
    assert found["exact_interval"] == [round(e, 6) for e in intervals.wilson(140, 155)]
    low, high = found["slot_f1_interval"]
    assert low < found["slot_f1"] < high
    several = metrics.condition([*mixed, result(ON, line=155, speaker="you")], None, 0)
    assert several["exact_interval"] != found["exact_interval"]


def test_one_recording_has_no_interval_of_what_is_neither_all_nor_nothing():
    both = result(Decision("light", {"state": "on", "room": "attic"}, "", 0.9))
    found = metrics.condition([both], None, 0)
    assert (found["slot_f1"], found["slot_f1_interval"]) == (pytest.approx(2 / 3, abs=1e-6), None)


# ── rates ──────────────────────────────────────────────────────────────────────────────────


def test_rates_of_a_condition():
    both = Decision("light", {"state": "on", "room": "attic"}, "", 0.9)
    other = Decision("timer", {}, "", 0.9)
    results = [
        result(ON, line=1),
        result(both, line=2),
        result(OFF, line=3),
        result(REFUSED, line=4),
        result(other, line=5),
    ]
    found = metrics.condition(results, None, 0)
    assert found["n"] == 5
    assert found["exact"] == pytest.approx(2 / 5)
    assert found["strict"] == pytest.approx(1 / 5)
    assert found["intent_accuracy"] == pytest.approx(3 / 5)
    assert found["rejected"] == pytest.approx(1 / 5)
    # right: 2; labelled: 5; understood: 1 + 2 + 1 + 0 + 0
    assert found["slot_f1"] == pytest.approx(2 * 2 / (5 + 4))
    assert found["phoneme_error"] is None
    assert found["exact_interval"] == [round(e, 6) for e in intervals.wilson(2, 5)]


def test_what_is_not_labelled_cannot_be_wrong():
    assert result(OFF, slots=None).strict
    assert not result(OFF, slots={}).strict
    assert result(OFF, slots={}).exact
    assert result(OFF, intent=None, slots={"state": "off"}).exact
    assert not result(REFUSED, slots=None).exact


def test_numbers_are_equal_as_numbers_only():
    five = Decision("timer", {"minutes": 5}, "", 0.9)
    assert result(five, intent="timer", slots={"minutes": 5.0}).exact
    assert not result(five, intent="timer", slots={"minutes": "5"}).exact


def test_confusion_counts_pairs():
    found = metrics.confusion([result(ON), result(ON), result(OFF), result(REFUSED)])
    assert found["intents"] == [
        {"expected": "light", "got": "light", "count": 3},
        {"expected": "light", "got": None, "count": 1},
    ]
    assert found["slots"]["state"] == [
        {"expected": "on", "got": "on", "count": 2},
        {"expected": "on", "got": "off", "count": 1},
        {"expected": "on", "got": None, "count": 1},
    ]


def test_several_commands_are_wrong_and_not_refused():
    results = [result(ON, ON, line=1), result(REFUSED, line=2)]
    assert metrics.condition(results, None, 0)["rejected"] == 0.5
    found = metrics.confusion(results)
    for pairs in (found["intents"], found["slots"]["state"]):
        assert {pair["got"] for pair in pairs} == {None, "several commands"}


def test_phoneme_error_is_of_all_phonemes_together():
    results = [
        Result(Item(n, "", Path(), text="x"), None, Outcome(samples=1, phonemes=ErrorRate(e, of)))
        for n, (e, of) in enumerate([(1, 10), (0, 30)])
    ]
    found = metrics.condition(results, 6.0, 0)
    assert found["phoneme_error"] == pytest.approx(1 / 40)
    assert (found["n"], found["exact"], found["snr"]) == (2, None, 6.0)


# ── several utterances ─────────────────────────────────────────────────────────────────────


def test_of_several_utterances_one_may_be_accepted():
    assert of_recording((REFUSED, ON)) is ON
    assert not of_recording((ON, OFF)).accepted
    assert "2 commands" in of_recording((ON, ON)).reason
    assert of_recording((Decision(None, {}, "", 0.0), REFUSED)) is REFUSED
    assert of_recording(()).reason


# ── negatives ──────────────────────────────────────────────────────────────────────────────


def test_false_accepts_are_counted_by_utterance():
    found = detection.false_accepts([result(OFF, REFUSED, ON, line=n) for n in range(1, 11)])
    assert (found["recordings"], found["utterances"], found["false_accepts"]) == (10, 30, 20)
    assert found["false_accepts_per_hour"] == pytest.approx(20 / (10 / 3600), rel=1e-6)
    assert found["examples"][0]["confidence"] == 0.9
    assert detection.false_accepts([]) is None


def test_det_trades_one_for_the_other():
    positives = [result(ON, line=1), result(REFUSED, line=2), result(OFF, line=3)]
    negatives = [result(Decision(None, {}, "", 0.4, "light", "no"), line=n) for n in (1, 2)]
    curve = detection.det(positives, negatives, 0.5)
    rates = {p["threshold"]: (p["false_reject_rate"], p["false_accepts_per_hour"]) for p in curve}
    # The second is right but refused in use; the third has no right reading at any threshold.
    assert rates[0.0] == (round(1 / 3, 6), 3600.0)
    assert rates[0.4] == (round(2 / 3, 6), 3600.0)
    assert rates[0.5] == (round(2 / 3, 6), 0.0)
    assert rates[1.0] == (1.0, 0.0)
    assert detection.det(positives, [], 0.5) == []


def test_what_was_refused_for_another_reason_passes_no_threshold():
    otherwise = Decision(None, {"state": "on"}, "light on", 0.7, "light", "hears no command")
    positives, negatives = [result(ON, line=1), result(otherwise, line=2)], [result(otherwise)]
    for threshold in (0.5, None):  # None: confidence refuses nothing
        curve = detection.det(positives, negatives, threshold)
        rates = {
            p["threshold"]: (p["false_reject_rate"], p["false_accepts_per_hour"]) for p in curve
        }
        assert rates[0.0] == (0.0, 3600.0)
        assert rates[0.9] == (0.5, 0.0)
        assert (0.5 in rates) is (threshold is not None)


# ── latency ────────────────────────────────────────────────────────────────────────────────


def test_latency_is_counted_from_the_last_phoneme():
    times = Times(0, 32_000, 24_000, 1_600, 20_000, first_partial=8_000, early=True)
    late = Times(0, 32_000, 32_000, 1_600, 20_000)
    found = latency.summary([result(ON, times=(times,)), result(ON, times=(late,))])
    assert found["endpoint_delay_ms"] == {"median": 750.0, "p95": 750.0, "n": 2}
    assert found["end_of_speech_to_decision_ms"]["median"] == 500.0
    assert found["early_decision_ms"] == {"median": 250.0, "p95": 250.0, "n": 1}
    assert found["first_partial_ms"] == {"median": 400.0, "p95": 400.0, "n": 1}


def test_what_the_recordings_end_cut_short_is_not_counted():
    cut = Times(0, 32_000, 32_000, 1_600, 20_000, ended_by_stream=True)
    whole = Times(0, 32_000, 32_000, 1_600, 20_000)
    for one in (result(ON, times=(cut,)), result(OFF, times=(whole,)), result(ON, times=())):
        assert latency.latencies(one) is None
    assert set(latency.summary([]).values()) == {None}


# ── requirements ───────────────────────────────────────────────────────────────────────────

REPORT = {
    "conditions": [{"snr": "clean", "exact": 0.9}, {"snr": 6.0, "exact": 0.7}],
    "negatives": {"false_accepts": 1},
    "latency": {"early_decision_ms": None},
}


@pytest.mark.parametrize(
    ("text", "failures"),
    [
        ("exact>=0.7", 0),
        ("exact >= 0.8", 1),
        ("exact>0.95", 2),
        ("exact@clean>=0.8", 0),
        ("exact@6>=0.8", 1),
        ("false_accepts<=1", 0),
        ("false_accepts<1", 1),
        ("early_decision_ms<=400", 1),
    ],
)
def test_requirements(text, failures):
    lines = Requirement.parse(text, (None, 6.0)).failures(REPORT)
    assert len(lines) == failures
    assert all(text in line for line in lines)


@pytest.mark.parametrize(
    "text",
    ["exact", "exact=1", "exakt>=0.8", "exact@15>=0.8", "exact>=high", "false_accepts@6<=1"],
)
def test_a_requirement_that_is_none(text):
    with pytest.raises(UsageError, match="--require"):
        Requirement.parse(text, (None, 6.0))


def test_what_was_not_measured_falls_short():
    report = {"negatives": None}
    (line,) = Requirement.parse("false_accepts<=5", ()).failures(report)
    assert "was not measured" in line
