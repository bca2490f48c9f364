"""How often other people's talk would be taken for a command, and the threshold that follows."""

import math

import numpy as np
import pytest

from assistant.errors import ConfigError
from assistant.false_alarms import TAIL, FalseAlarms


def measured(rate_per_hour, hours, seed=0):
    """Confidences whose log-odds are spread as talk's are: exponential above a level of -8."""
    rng = np.random.default_rng(seed)
    log_odds = -8 + rng.exponential(1.5, rng.poisson(rate_per_hour * hours))
    nearest = np.sort(1 / (1 + np.exp(-log_odds)))[::-1][:TAIL]
    return FalseAlarms(hours, tuple(float(c) for c in nearest))


def test_threshold_and_rate_are_each_others_inverse():
    alarms = measured(100, 1)
    for wanted in (0.01, 0.1, 1, 10):
        assert alarms.per_hour(alarms.threshold(wanted)) == pytest.approx(wanted, rel=1e-6)


def test_fewer_alarms_need_more_confidence():
    alarms = measured(100, 1)
    thresholds = [alarms.threshold(n) for n in (20, 2, 0.2, 0.02)]
    assert thresholds == sorted(thresholds)
    assert len(set(thresholds)) == 4


def test_the_rate_beyond_what_was_seen_is_nearly_right():
    """20 minutes foretell the threshold of one alarm an hour; 500 other hours say whether it is."""
    seen = []
    rng = np.random.default_rng(2)
    everything = -8 + rng.exponential(1.5, 500 * 500)
    for seed in range(20):
        threshold = measured(500, 1 / 3, seed).threshold(1)
        seen.append((everything > math.log(threshold / (1 - threshold))).sum() / 500)
    assert 0.5 < np.median(seen) < 2


def test_where_many_are_allowed_no_less_is_asked_for_than_was_measured():
    alarms = measured(100, 1)
    assert alarms.threshold(1e6) == pytest.approx(alarms.confidences[-1])


@pytest.mark.parametrize("wanted", [0, -1, math.nan])
def test_no_alarms_at_all_cannot_be_promised(wanted):
    with pytest.raises(ConfigError, match="more than 0"):
        measured(100, 1).threshold(wanted)


def test_commands_compiled_without_a_measurement_say_so():
    with pytest.raises(ConfigError, match="compile them again"):
        FalseAlarms().threshold(1)


def test_raised_confidences_ask_for_a_higher_threshold():
    alarms = measured(100, 1)
    log_odds = math.log(alarms.threshold(1) / (1 - alarms.threshold(1)))
    raised = alarms.raised(0.7).threshold(1)
    assert math.log(raised / (1 - raised)) == pytest.approx(log_odds + 0.7)
