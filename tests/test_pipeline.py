"""Stages and pipeline: any cut of the stream gives exactly what the whole gives."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_bundle
import torch
from torch.testing import assert_close

from assistant.acoustic import AcousticScorer
from assistant.actions import ActionRunner, parse_policy
from assistant.bundle import read_acoustic
from assistant.config import AssistantConfig
from assistant.engine import Engine, choose_device
from assistant.errors import BundleError, ConfigError, UsageError
from assistant.recording import read_file
from assistant.types import (
    SAMPLE_RATE,
    ActionPerformed,
    FeatureChunk,
    PartialHypothesisChanged,
    Recognised,
    Rejected,
    SpeechStarted,
)

AWKWARD_CUTS = [1, 7, 320, 7919]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return tiny_bundle.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def engine(bundle):
    return Engine.load(AssistantConfig(bundle=str(bundle), commands="agreeable"))


def test_utterances_may_last_as_long_as_the_encoder_hears_and_no_longer(engine):
    def lasting(milliseconds):
        endpoint = replace(engine.config.endpoint, maximum_utterance_ms=milliseconds)
        return engine.with_config(replace(engine.config, endpoint=endpoint))

    assert lasting(30_000).config.endpoint.maximum_utterance_ms == 30_000
    with pytest.raises(ConfigError, match=r"maximum_utterance_ms.*write 30000 or less"):
        lasting(30_001)


@pytest.fixture(scope="session")
def stream(data):
    """Two real commands with quiet rooms around them."""
    room = np.random.default_rng(0).standard_normal(24_000).astype(np.float32) * 5e-5
    parts = [room]
    for name in ("3b1a9487", "1cada0fd"):
        parts += [read_file(data / f"recordings/coffee/{name}.flac").whole(), room]
    return np.concatenate(parts)


def run(pipeline, samples, cut):
    events = [e for i in range(0, len(samples), cut) for e in pipeline.feed(samples[i : i + cut])]
    return events + pipeline.flush()


def without_times_of_partials(events):
    """A partial hypothesis is told when it is known, which hangs on how the audio arrives."""
    return [replace(e, at=0) if isinstance(e, PartialHypothesisChanged) else e for e in events]


@pytest.mark.parametrize("whole", [False, True])
def test_any_cut_gives_the_same_events(engine, stream, whole):
    samples = stream[: 8 * SAMPLE_RATE] if whole else stream
    expected = run(engine.pipeline(whole=whole), samples, len(samples))
    assert sum(isinstance(e, Recognised) for e in expected) >= 1
    for cut in AWKWARD_CUTS:
        found = run(engine.pipeline(whole=whole), samples, cut)
        assert without_times_of_partials(found) == without_times_of_partials(expected)


def test_events_come_in_order_and_do_not_overlap(engine, stream):
    events = run(engine.pipeline(), stream, 320)
    started = [e.start for e in events if isinstance(e, SpeechStarted)]
    ended = [e for e in events if isinstance(e, Recognised | Rejected)]
    assert [e.start for e in ended] == started
    assert len(started) == 2
    assert all(e.start < e.end for e in ended)
    assert ended[0].end <= ended[1].start
    assert any(isinstance(e, PartialHypothesisChanged) for e in events)


def test_a_pipeline_can_be_used_again(engine, stream):
    pipeline = engine.pipeline()
    assert run(pipeline, stream, 4000) == run(pipeline, stream, 4000)


def test_the_decision_is_that_of_the_whole_utterance(engine, stream):
    """What the endpointer cut out, taken by itself as one utterance, reads the same."""
    heard = [e for e in run(engine.pipeline(), stream, 320) if isinstance(e, Recognised)]
    alone = run(engine.pipeline(whole=True), stream[heard[0].start : heard[0].end], 999)
    decided = next(e for e in alone if isinstance(e, Recognised))
    assert decided.hypothesis == heard[0].hypothesis


def test_an_accepted_intent_reaches_the_actions_once(engine, stream):
    policy = parse_policy({"intents": {"setLight": {"log": "{state}"}}}, "test")
    pipeline = engine.pipeline(ActionRunner(policy, execute=False))
    events = run(pipeline, stream, 320)
    intents = [e.intent.name for e in events if isinstance(e, Recognised)]
    done = [e for e in events if isinstance(e, ActionPerformed)]
    assert [e.result.intent for e in done] == intents


def test_what_is_refused_is_refused_with_a_reason(bundle, stream):
    strict = Engine.load(AssistantConfig(bundle=str(bundle), commands="strict"))
    events = run(strict.pipeline(), stream, 320)
    refused = [e for e in events if isinstance(e, Rejected)]
    assert len(refused) == 2
    assert all("confidence" in e.rejection.reason for e in refused)
    assert not any(isinstance(e, Recognised | ActionPerformed) for e in events)


def test_silence_and_nothing_give_no_utterance(engine):
    assert run(engine.pipeline(), np.zeros(SAMPLE_RATE, np.float32), 320) == []
    assert run(engine.pipeline(whole=True), np.zeros(0, np.float32), 320) == []


@pytest.mark.parametrize("samples", [1, 100, 3000])
def test_the_shortest_utterances_are_refused_not_crashed_on(engine, samples):
    noise = np.random.default_rng(0).standard_normal(samples).astype(np.float32) * 0.1
    (started, *_, ended) = run(engine.pipeline(whole=True), noise, 50)
    assert isinstance(started, SpeechStarted)
    assert isinstance(ended, Recognised | Rejected)


@pytest.mark.parametrize(("centre", "lookahead"), [(1, 0), (5, 3), (16, 16), (77, 0)])
def test_acoustic_stage_equals_the_blocked_whole(bundle, centre, lookahead):
    model = read_acoustic(bundle).model
    rows = torch.randn(77, model.config.input_size)
    with torch.inference_mode():
        whole = model(rows[None], torch.tensor([77]), centre, lookahead)[0]
    stage = AcousticScorer(model)
    scored = []
    for at in range(0, 77, centre):
        block = rows[at : at + centre + lookahead]
        scored += stage.feed(FeatureChunk(block, min(centre, 77 - at), torch.zeros(0)))
    assert_close(torch.cat([p.log_probs for p in scored]), whole, rtol=1e-4, atol=1e-5)
    assert stage.flush() == []


def test_the_ledger_is_computed_from_the_parameters(engine):
    delays = {d.stage: d.milliseconds for d in engine.pipeline().delays()}
    features = engine.acoustic.features
    assert delays["endpointer"] >= engine.config.endpoint.hangover_ms
    block_ms = (features.chunk_rows + features.lookahead_rows) * 40
    assert delays["features"] == pytest.approx(block_ms + 12.5, abs=0.1)
    assert delays["acoustic model"] == 0


def test_commands_of_another_acoustic_model_are_refused(bundle, tmp_path):
    other = tiny_bundle.build(tmp_path)
    weights = other / "acoustic.safetensors"
    weights.write_bytes(weights.read_bytes()[:-2] + b"\x01\x02")
    with pytest.raises(BundleError, match="another acoustic model"):
        Engine.load(AssistantConfig(bundle=str(other), commands="agreeable"))


def test_unknown_devices_are_named():
    assert choose_device("auto").type in ("cpu", "cuda")
    with pytest.raises(UsageError, match="auto, cpu, cuda"):
        choose_device("tpu")
