"""The weight of the LSTM beside the graph: from the configuration, else as compiled."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny_bundle import BANKED, build, write_bank

from assistant.bundle import read_acoustic, read_commands
from assistant.config import AssistantConfig, DecisionConfig
from assistant.engine import Engine
from assistant.grammar.commands import load_commands
from assistant.intent import LSTM_WEIGHT
from assistant.training import compiler
from assistant.training.calibration import better_weight
from assistant.training.compiler import compile_commands
from assistant.training.intent_trainer import IntentTrainingConfig
from assistant.training.posterior_bank import PosteriorBank
from assistant.training.pronouncing import pronounce
from assistant.training.sentence_source import SentenceSource

COMMANDS = """\
language: en
intents:
  setLight: {data: [{sentences: ["turn the light {state}"]}]}
lists: {state: {values: ["on", "off"]}}
"""
BRIEF = IntentTrainingConfig(sentences=40, epochs=1, calibration=30)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    folder = build(tmp_path_factory.mktemp("weight"))
    write_bank(folder, noisy=np.arange(BANKED) // 30 % 2 == 1)
    (folder / "mine.yaml").write_text(COMMANDS)
    return folder


def weight_of(bundle, folder, configured=None):
    decision = DecisionConfig(lstm_weight=configured)
    config = AssistantConfig(bundle=str(bundle), decision=decision)
    return Engine.load(config, folder).decoder().lstm_weight


def test_a_graph_that_does_better_than_the_lstm_keeps_the_usual_weight(
    bundle, tmp_path, monkeypatch
):
    monkeypatch.setattr(compiler, "train_intent_model", lambda *_: 0.0)
    compile_commands([bundle / "mine.yaml"], bundle, tmp_path / "set", BRIEF)
    assert read_commands(tmp_path / "set", read_acoustic(bundle)).lstm_weight == LSTM_WEIGHT
    assert weight_of(bundle, tmp_path / "set") == LSTM_WEIGHT


def test_an_lstm_that_does_better_alone_has_more_of_a_say(bundle, tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "train_intent_model", lambda *_: 2.0)
    monkeypatch.setattr(compiler, "better_weight", lambda *_: 1.5)
    compile_commands([bundle / "mine.yaml"], bundle, tmp_path / "set", BRIEF)
    assert weight_of(bundle, tmp_path / "set") == 1.5
    assert weight_of(bundle, tmp_path / "set", configured=0.0) == 0.0


def test_the_weight_is_raised_as_long_as_more_is_right(bundle):
    (bundle / "one.yaml").write_text(
        "language: en\nintents: {stop: {data: [{sentences: [turn the light off]}]}}\n"
    )
    commands = load_commands([bundle / "one.yaml"])
    bank = PosteriorBank.read(bundle / "posterior_bank.safetensors")
    lexicon = pronounce(commands, read_acoustic(bundle).inventory)
    source = SentenceSource(commands, lexicon, bank)

    class Decoder:
        """Right about so many of four utterances at each weight."""

        def __init__(self, right):
            self.compiled_weight = LSTM_WEIGHT
            self.right = dict(right)

        def judge(self, log_probs):
            assert isinstance(log_probs, torch.Tensor)
            self.right[self.compiled_weight] -= 1
            intent = "stop" if self.right[self.compiled_weight] >= 0 else "go"
            return SimpleNamespace(path=SimpleNamespace(intent=intent, slots={}))

    def found(right):
        return better_weight(source, Decoder(right), replace(BRIEF, calibration=8))

    assert found({LSTM_WEIGHT: 1, 0.6: 2, 1.0: 3, 1.5: 3}) == 1.0
    assert found({LSTM_WEIGHT: 2, 0.6: 1}) == LSTM_WEIGHT
    assert found({LSTM_WEIGHT: 0, 0.6: 1, 1.0: 2, 1.5: 3, 2.5: 4, 4.0: 4}) == 2.5
