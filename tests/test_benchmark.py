"""The benchmark: many streams at once are what each is by itself, and every part gives its keys."""

import json

import numpy as np
import pytest
import tiny_bundle
import torch
from script_support import load_script
from torch.testing import assert_close

from assistant.acoustic import AcousticScorer
from assistant.config import AcousticConfig, AssistantConfig, FeatureConfig
from assistant.engine import Engine
from assistant.errors import UsageError
from assistant.evaluation.benchmark import streams
from assistant.evaluation.benchmark.generated_commands import command_file
from assistant.evaluation.benchmark.lockstep import Lockstep, repeated, state_bytes
from assistant.evaluation.benchmark.parts import PARTS
from assistant.evaluation.benchmark.streams import Effort
from assistant.features import FeatureExtractor
from assistant.grammar.commands import load_commands
from assistant.grammar.network import count_sentences
from assistant.nn.acoustic_model import AcousticModel
from assistant.nn.encoder import EncoderShape, StreamingEncoder
from assistant.training.document import markers

CHUNKS = 4


def networks(encoder, lookahead, cell):
    torch.manual_seed(0)
    features = FeatureConfig(
        chunk_rows=4, lookahead_rows=lookahead, left_context_rows=6, encoder=encoder, stack=2
    )
    width = 32 if encoder else features.mel_bins
    network = StreamingEncoder(EncoderShape(width=32, heads=2, layers=2)).eval()
    shape = AcousticConfig(
        input_size=2 * width,
        projection_size=12,
        cell=cell,
        hidden_size=8,
        phonemes=7,
    )
    return features, network if encoder else None, AcousticModel(shape).eval()


def in_lockstep(lockstep, streams, state, at=0):
    stepped = []
    while at + lockstep.samples_wanted(state) <= streams.shape[1]:
        wanted = lockstep.samples_wanted(state)
        log_probs, state = lockstep.step(streams[:, at : at + wanted], state)
        stepped.append(log_probs)
        at += wanted
    return torch.cat(stepped, dim=1), state, at


@pytest.mark.parametrize("encoder", [True, False])
@pytest.mark.parametrize("lookahead", [0, 3])
@pytest.mark.parametrize("cell", ["gru", "lstm", "transformer"])
def test_streams_in_one_batch_are_what_each_is_by_itself(encoder, lookahead, cell):
    features, network, model = networks(encoder, lookahead, cell)
    lockstep = Lockstep(features, network, model)
    streams = torch.randn(3, (CHUNKS + 1) * lockstep.chunk_samples) * torch.tensor(
        [[0.001], [0.1], [1.0]]
    )
    together, _, taken = in_lockstep(lockstep, streams, lockstep.initial_state(3))
    assert taken >= CHUNKS * lockstep.chunk_samples
    for i, samples in enumerate(streams[:, : taken + 1].numpy()):  # a sample more: see features
        extractor = FeatureExtractor(features, network)
        scorer = AcousticScorer(model)
        alone = [p for chunk in extractor.feed(samples) for p in scorer.feed(chunk)]
        assert_close(together[i], torch.cat([p.log_probs for p in alone]), rtol=1e-4, atol=1e-4)


def test_a_repeated_state_goes_on_as_the_one_it_was_made_of():
    lockstep = Lockstep(*networks(True, 3, "gru"))
    stream = torch.randn(1, (CHUNKS + 1) * lockstep.chunk_samples)
    half = stream[:, : 2 * lockstep.chunk_samples + lockstep.chunk_samples // 2]
    _, state, at = in_lockstep(lockstep, half, lockstep.initial_state(1))
    one, *_ = in_lockstep(lockstep, stream, state, at)
    many, *_ = in_lockstep(lockstep, stream.expand(3, -1), repeated(state, 3), at)
    assert_close(many, one.expand_as(many), rtol=1e-4, atol=1e-4)
    assert state_bytes(repeated(state, 3)) == 3 * state_bytes(state) > 0


def test_a_state_of_streams_that_does_not_fit_is_left_out_with_a_line(monkeypatch, bundle, speech):
    engine = Engine.load(AssistantConfig(bundle=str(bundle), commands="agreeable", device="cpu"))
    monkeypatch.setattr(streams, "free_bytes", lambda device: 50_000_000)
    found = streams.measure(engine, speech, (1, 4096, 10_000), 1.0, Effort(steps=1), lambda s: None)
    one, many = found["batches"]
    assert one["step_ms"]["n"] == 1
    assert many["streams"] == 4096
    assert "GB of memory" in many["left_out"]
    assert found["limited_by"] in ("memory", "time")  # time: a machine too slow for one stream


@pytest.mark.parametrize(("seconds_per_stream", "held"), [(0.0225, 21), (1.0, 0), (0.45, 1)])
def test_the_streams_held_are_found_within_a_tenth(
    monkeypatch, bundle, speech, seconds_per_stream, held
):
    engine = Engine.load(AssistantConfig(bundle=str(bundle), commands="agreeable", device="cpu"))
    timed = lambda self, samples, state: len(samples) * seconds_per_stream  # noqa: E731
    monkeypatch.setattr(streams._Ladder, "_timed", timed)
    found = streams.measure(engine, speech, (1, 8, 64), 1.0, Effort(), lambda s: None)
    assert found["limited_by"] == "time"
    assert held / 1.1 - 1 <= found["held"] <= held
    loads = {row["streams"]: row["load"] for row in found["batches"]}
    assert loads[1] == pytest.approx(seconds_per_stream / 0.48, rel=1e-3)
    assert all((load <= 1) == (size <= held) for size, load in loads.items())


def test_running_out_of_memory_is_a_line_and_keeps_what_was_measured(monkeypatch, bundle, speech):
    def timed(self, samples, state):
        if len(samples) > 1:
            raise torch.OutOfMemoryError
        return 0.001

    engine = Engine.load(AssistantConfig(bundle=str(bundle), commands="agreeable", device="cpu"))
    monkeypatch.setattr(streams._Ladder, "_timed", timed)
    found = streams.measure(engine, speech, (1, 8, 64), 1.0, Effort(steps=2), lambda s: None)
    assert (found["held"], found["limited_by"]) == (1, "memory")
    assert [row["streams"] for row in found["batches"]] == [1, 8]


def test_more_streams_than_asked_for_may_be_held(monkeypatch, bundle, speech):
    engine = Engine.load(AssistantConfig(bundle=str(bundle), commands="agreeable", device="cpu"))
    monkeypatch.setattr(streams._Ladder, "_timed", lambda self, samples, state: 0.001)
    found = streams.measure(engine, speech, (1, 8), 1.0, Effort(steps=2), lambda s: None)
    assert found["held"] == 8
    assert found["limited_by"] == "the largest batch asked for"


@pytest.mark.parametrize("sentences", [1, 10, 1000])
def test_generated_commands_are_so_many_and_the_same_every_time(tmp_path, sentences):
    text = command_file(sentences)
    assert text == command_file(sentences)
    path = tmp_path / "commands.yaml"
    path.write_text(text, encoding="utf-8")
    commands = load_commands([path])
    assert count_sentences(commands.network) == sentences
    assert set(commands.slots) == {"thing", "place"}


def test_ten_thousand_commands_differ_and_there_are_no_more_than_there_are():
    written = [line for line in command_file(10_000).splitlines() if " the " in line]
    assert len(set(written)) == len(written) == 10_000
    with pytest.raises(UsageError, match="give 1 to"):
        command_file(10**6)


# ── the script ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return tiny_bundle.build(tmp_path_factory.mktemp("benchmark"))


@pytest.fixture(scope="module")
def speech():
    return np.random.default_rng(0).standard_normal(4 * 16000).astype(np.float32) * 0.1


@pytest.fixture
def script(monkeypatch, capsys):
    """Runs the script in this process (but for what it measures afresh)."""
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    module = load_script("benchmark", monkeypatch)

    def run(*arguments):
        code = module.main([str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return run


def test_every_part_runs_and_its_figures_are_there(script, bundle, data, tmp_path):
    recordings = sorted((data / "recordings/home").glob("word_*.flac"))
    found_at, plots = tmp_path / "figures.json", tmp_path / "plots"
    sizes = ["--streams", "1,2", "--lengths", "1,2", "--sentences", "10", "--utterances", "2"]
    options = ["--bundle", bundle, "--commands", "agreeable", "--json", found_at, "--plots", plots]
    code, out, err = script("--quick", *options, *sizes, *recordings)
    assert code == 0, err
    found = json.loads(found_at.read_text(encoding="utf-8"))

    assert {"version", "machine", "made_from", *PARTS} <= set(found)
    assert {"processor", "cores", "memory_mb", "gpu", "torch"} <= set(found["machine"])
    assert found["made_from"]["recordings"] == len(recordings)
    percentiles = {"p50", "p95", "p99", "max", "n"}

    compute = found["compute"]
    stages = compute["compute_per_second_of_speech"]
    assert len(stages) == 9
    assert stages["encoder, in chunks"] > 0
    assert stages["encoder, full context"] > 0
    assert stages["decision: graph and confidence"] > 0
    assert compute["total_speech"] == pytest.approx(sum(stages.values()), abs=1e-3)
    assert compute["streaming"] + compute["full_context"] == pytest.approx(
        compute["total_speech"], abs=1e-3
    )
    assert compute["total_silence"] > 0
    assert set(compute["end_of_speech_to_decision_ms"]) == percentiles
    assert compute["end_of_speech_to_decision_ms"]["n"] == len(recordings)

    kinds = found["latency"]["by_what_happened"]
    assert {"no speech", "an utterance begins", "the end: decision at full context"} <= set(kinds)
    ends = kinds["the end: decision at full context"]
    assert ends["call_ms"]["n"] == len(recordings)
    assert ends["late_ms"]["max"] >= ends["call_ms"]["max"]
    assert found["latency"]["all"]["n"] == sum(kind["call_ms"]["n"] for kind in kinds.values())

    start = found["start-up"]
    names = [stage["stage"] for stage in start["stages"]]
    assert {"start Python", "import torch", "read the bundle", "read the commands"} <= set(names)
    assert {"compile the command graph", "first utterance: the decision"} <= set(names)
    assert 0 < start["ready_seconds"] < start["first_decision_seconds"]

    assert set(found["memory"]["resident_mb"]) == {"1", "2"}
    assert found["memory"]["growth_mb_per_100_utterances"] is None  # too few to tell

    runs = found["streams"]["runs"]
    assert {run["where"] for run in runs} >= {"one core"}
    assert all({"held", "limited_by", "said_seconds", "batches"} <= set(run) for run in runs)
    assert {row["streams"] for row in runs[0]["batches"]} == {1, 2}

    assert [row["seconds"] for row in found["length"]["rows"]] == [1, 2]
    (commands,) = found["commands"]["rows"]
    assert commands["sentences"] == 10
    assert set(commands["decision_ms"]) == percentiles
    assert commands["graph_states"] > 100
    assert {path.name for path in plots.iterdir()} == {
        f"{part}.{form}" for part in ("streams", "length", "commands") for form in ("svg", "png")
    }
    for title in ("compute", "start-up", "memory", "streams held", "growth with the number"):
        assert title in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "latency,speed"], "--only speed: no such part; one of: compute, "),
        (["--streams", "1,many"], "--streams 1,many: give numbers"),
        (["--lengths", "0"], "numbers are above 0"),
        (["--card", "--quick"], "--card needs 'compute' measured"),
        (["--bundle", "nowhere"], "nowhere"),
        (["--no-such-option"], "No such option"),
    ],
)
def test_misuse_is_one_line(script, arguments, said):
    code, out, err = script(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1


def test_size_and_compute_go_into_the_card(script, bundle, data):
    (bundle / "posterior_bank.safetensors").write_bytes(b"0" * 10_000)
    card = bundle / "CARD.md"
    begin, end = markers("figures")
    card.write_text(f"# tiny\n\n{begin}\n{end}\n", encoding="utf-8")
    recording = data / "recordings/home/word_yes.flac"
    code, _, err = script("--bundle", bundle, "--commands", "agreeable", "--card", recording)
    assert code == 0, err
    text = card.read_text(encoding="utf-8")
    assert "| posterior bank, MB | 0.0 |" in text
    assert "compute while someone speaks, of one thread" in text
    kept = json.loads((bundle / "figures.json").read_text(encoding="utf-8"))
    assert kept["compute"]["commands"] == "agreeable"
