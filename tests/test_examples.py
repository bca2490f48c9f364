"""What users state must and must not be understood, and what their intents do, in command files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_bundle import BANKED, build, write_bank

from assistant.actions import read_actions
from assistant.bundle import read_acoustic, read_commands, read_inventory
from assistant.cli import main
from assistant.cli.render import result_object
from assistant.config import AssistantConfig, DecisionConfig
from assistant.engine import Engine
from assistant.errors import ConfigError
from assistant.grammar.commands import CommandSet, load_commands
from assistant.grammar.finding import Gravity
from assistant.training.compiler import compile_commands
from assistant.training.examples import find_broken
from assistant.training.intent_trainer import IntentTrainingConfig
from assistant.training.posterior_bank import PosteriorBank
from assistant.training.pronouncing import ways_of
from assistant.training.sentence_source import SentenceSource
from assistant.types import ActionStatus, Hypothesis, Intent, Recognised, Rejection

LIGHT = """\
language: en
intents:
  setLight:
    data:
      - sentences: ["turn {state} the {room} (light|lights)"]
  setTimer:
    data: [{sentences: ["set a timer for {minutes} minutes"]}]
lists:
  state: {values: ["on", "off"]}
  room: {values: [kitchen, bedroom]}
  minutes: {range: {from: 1, to: 30}}
"""
"""Eleven lines; what is added to it begins in line twelve."""

Load = Callable[..., CommandSet]


def broken(commands: CommandSet) -> list[tuple[int, str]]:
    """Line and message of every example that is not kept."""
    found = list(find_broken(commands))
    assert all(f.gravity is Gravity.ERROR and f.kind == "example" for f in found)
    return [(int(f.where.rpartition(":")[2]), f.message) for f in found]


# ── as texts ───────────────────────────────────────────────────────────────────────────────


def test_examples_that_are_kept_are_not_mentioned(load: Load) -> None:
    examples = """\
examples:
  must:
    - Turn on the kitchen lights!
    - {say: set a timer for 5 minutes, intent: setTimer, slots: {minutes: 5}}
    - say: [turn off the bedroom light, turn off the bedroom lights]
      slots: {room: bedroom, state: "off"}
  must_not: [turn on the kitchen tap, what is the weather]
"""
    commands = load(LIGHT + examples)
    assert not broken(commands)
    assert len(commands.examples.must) == 4
    assert [e.words[0] for e in commands.examples.must_not] == ["turn", "what"]


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (
            "must: [turn on the kitchen light bulb]",
            "no sentence has 'bulb' after 'turn on the kitchen light'; leave the rest out",
        ),
        ("must: [turn on the kitchn light]", "has 'kitchn' after 'turn on the'; say 'kitchen'"),
        ("must: [turn on the]", "no sentence ends after 'turn on the'; say 'kitchen' or 'bedroom'"),
        ("must: [please stop]", "no sentence has 'please' at the start; say 'turn' or 'set'"),
        ("must: [set a timer for 31 minutes]", "no sentence has 'one' after 'set a timer for thi"),
        (
            "must: [{say: turn on the kitchen light, intent: setTimer}]",
            "must mean setTimer, but means setLight(state=on, room=kitchen) (",
        ),
        (
            "must: [{say: turn on the kitchen light, slots: {state: 'on'}}]",
            "must mean an intent with (state=on), but means setLight(state=on, room=kitchen) (",
        ),
        (
            "must: [{say: turn on the kitchen light, intent: light}]",
            "no intent is called 'light'; one of: setLight, setTimer",
        ),
        (
            "must_not: [turn off the bedroom lights]",
            "must not be understood, but means setLight(state=off, room=bedroom) (",
        ),
    ],
)
def test_a_broken_example_says_where_and_what_instead(
    load: Load, example: str, message: str
) -> None:
    ((line, found),) = broken(load(f"{LIGHT}examples:\n  {example}\n"))
    assert line == 13
    assert message in found


def test_every_broken_example_is_found(load: Load) -> None:
    text = "examples:\n  must:\n    - stop\n    - turn on the kitchen light\n    - go\n"
    assert [line for line, _ in broken(load(LIGHT + text))] == [14, 16]


def test_examples_of_an_intent_mean_that_intent(load: Load) -> None:
    examples = "    examples: {must: [set a timer for two minutes], must_not: [set the clock]}\n"
    text = LIGHT.replace("  setTimer:\n", examples + "  setTimer:\n")
    ((line, found),) = broken(load(text))
    assert (line, "must mean setLight, but means setTimer(minutes=2)" in found) == (6, True)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ("[a]", "12: 'examples' must be keys and values, found a list"),
        ("{}", "12: 'examples' is empty; write 'must: [...]'"),
        ("{mustnt: [a]}", "12: unknown key 'mustnt' in 'examples'; one of: must, must_not"),
        ("{must: a}", "12: 'must' must be a list, found 'a'"),
        ("{must: [on]}", "12: an example must be text, found true"),
        ("{must: ['...']}", "12: '...' has no words; remove it"),
        ("{must: [{intent: setLight}]}", "12: an example says nothing; add, for instance, say:"),
        ("{must: [{say: a, slot: {}}]}", "unknown key 'slot' in an example; one of: say, intent"),
        ("{must: [{say: a, slots: {state: on}}]}", "the value of slot 'state' must be text, found"),
        ("{must_not: [{say: a}]}", "12: an example must be text, found keys and values"),
    ],
)
def test_examples_of_another_form_are_explained(load: Load, examples: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(f"{LIGHT}examples: {examples}\n")
    assert message in str(raised.value)


# ── several files ──────────────────────────────────────────────────────────────────────────


def test_examples_of_several_files_join_and_may_speak_of_each_other(load: Load) -> None:
    more = "language: en\nexamples: {must: [turn on the kitchen light], must_not: [stop]}\n"
    commands = load(LIGHT + "examples: {must: [set a timer for 1 minutes]}\n", more)
    assert len(commands.examples.must) == 2
    assert not broken(commands)


def test_an_intent_has_its_action_in_one_file(load: Load) -> None:
    act = "actions:\n  setTimer: {log: timer}\n"
    commands = load(LIGHT + act, "language: en\nactions: {setLight: {log: light}}\n")
    assert set(commands.actions) == {"setLight", "setTimer"}
    with pytest.raises(ConfigError, match=r"1\.yaml:3: 'setTimer' has .*0\.yaml:13 already; keep"):
        load(LIGHT + act, "language: en\n" + act)


# ── actions ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("setLigt: {log: a}", "13: no intent is called 'setLigt'; one of: setLight, setTimer"),
        ("setLight: {shell: a}", "13: setLight: unknown key 'shell'; one of: log, run, http"),
        ("setLight: {run: a b}", "13: setLight: run: argv is a list, since there is no shell"),
        (
            "setLight: {log: '{rom}'}",
            "13: setLight: none of its sentences sets a slot 'rom'; one of: room, state",
        ),
        (
            "setLight:\n    - {when: {state: 'on'}, log: a}\n    - {log: '{rooms}'}",
            "15: setLight: none of its sentences sets a slot 'rooms'",
        ),
        (
            "setLight: {when: {state: onn}, log: a}",
            "13: setLight: when: slot 'state' is never 'onn'; write a value that can be said, such",
        ),
        (
            "setLight: {map: {room: {attic: x}}, log: '{room}'}",
            "13: setLight: map: slot 'room' is never 'attic'; write a value that can be said",
        ),
        ("setLight: {log: a, confirm: yes}", "confirm: found True: write one of always, when"),
    ],
)  # fmt: skip
def test_mistakes_in_actions_have_file_and_line(load: Load, rules: str, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        commands = load(f"{LIGHT}actions:\n  {rules}\n")
        read_actions(commands.actions, commands.slots_of)
    assert message in str(raised.value)


def test_numbers_and_defaults_are_values_too(load: Load) -> None:
    rule = "{when: {minutes: [1, 2]}, defaults: {minutes: 0, unit: min}, log: '{minutes} {unit}'}"
    commands = load(f"{LIGHT}actions:\n  setTimer: {rule}\n")
    (read,) = read_actions(commands.actions, commands.slots_of).rules["setTimer"]
    assert read.fits({"minutes": 2})
    assert read.summary() == "log: {minutes} {unit}  when minutes is 1 or 2"


def test_actions_that_ask_where_no_sentence_answers_are_warned_of(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    asks = f"{LIGHT}actions:\n  setTimer: {{log: now, confirm: when-unsure}}\n"
    commands = load(asks)
    read_actions(commands.actions, commands.slots_of)
    (record,) = caplog.records
    assert "setTimer asks first, and no sentence answers" in record.getMessage()
    assert record.getMessage().startswith(commands.actions["setTimer"].where)
    caplog.clear()
    commands = load(f"{asks}  setLight: {{reply: accept}}\n")
    read_actions(commands.actions, commands.slots_of)
    assert not caplog.records


def test_actions_whose_sentences_are_all_left_out_are_warned_of(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    text = LIGHT.replace(
        "lists:\n",
        """\
  note: {data: [{sentences: ["note {anything}"]}]}
lists:
  anything: {wildcard: true}
""",
    )
    actions = "{setTimer: {log: now, confirm: always}, note: {reply: accept}}"
    commands = load(f"{text}actions: {actions}\n")
    assert set(read_actions(commands.actions, commands.slots_of).rules) == {"setTimer", "note"}
    left_out, unanswered = (record.getMessage() for record in caplog.records)
    where = commands.actions["note"].where
    assert left_out == f"{where}: note: none of its sentences can be said"
    assert "setTimer asks first, and no sentence answers" in unanswered


# ── compiled ───────────────────────────────────────────────────────────────────────────────

TINY = """\
language: en
intents:
  setLight:
    data: [{sentences: ["turn the light {state}"]}]
  setBrightness:
    data: [{sentences: ["dim to {level}"]}]
lists:
  state: {values: ["on", "off"]}
  level: {range: {from: 1, to: 3}}
examples:
  must: [turn the light on]
  must_not: [dim the light]
actions:
  setLight: {run: [printf, "light %s", "{state}"], confirm: always}
"""

BRIEF = IntentTrainingConfig(sentences=40, epochs=1, calibration=30)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle, with a bank of clean phonemes in a fixed round."""
    folder = build(tmp_path_factory.mktemp("examples"))
    write_bank(folder, noisy=np.arange(BANKED) // 30 % 2 == 1)
    return folder


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_one_file_is_a_whole_assistant(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = compile_commands([write(tmp_path, TINY)], bundle, tmp_path / "mine", BRIEF)
    heard = report.examples
    assert heard is not None
    assert (heard.must, heard.must_not) == (1, 1)
    assert len(heard.warnings) == heard.must - heard.understood + heard.must_not - heard.refused
    compiled = read_commands(tmp_path / "mine", read_acoustic(bundle))
    assert set(compiled.actions) == {"setLight"}
    assert "dim" in compiled.lexicon

    arguments = ["show", "--bundle", str(bundle), "--commands", str(tmp_path / "mine")]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "does run: printf 'light %s' '{state}'  (confirm: always)" in shown
    assert str(tmp_path / "mine/config.yaml") in shown
    other = write(tmp_path, "intents: {setLight: {log: 'only {state}'}}")
    assert main([*arguments, "--actions", str(other), "--json"]) == 0
    intents = {i["name"]: i for i in json.loads(capsys.readouterr().out)["intents"]}
    assert intents["setLight"]["actions"] == ["log: only {state}"]
    assert intents["setBrightness"]["actions"] == []


def test_a_command_set_acts_as_its_files_say_unless_a_policy_is_named(
    bundle: Path, tmp_path: Path
) -> None:
    compile_commands([write(tmp_path, TINY)], bundle, tmp_path / "mine", BRIEF)
    engine = Engine.load(AssistantConfig(bundle=str(bundle)), tmp_path / "mine")
    intent = Intent("setLight", {"state": "on"}, "turn the light on", 1.0)
    result = engine.actions(execute=True).perform(intent)
    assert result.status is ActionStatus.UNCONFIRMED
    assert result.description == "printf 'light %s' on (not done: it is always confirmed first)"
    recognised = Recognised(0, 1, intent, Hypothesis("setLight", {}, "", 1.0, 0.0))
    shown = result_object("", recognised, result)["action"]
    assert shown == f"needs confirmation: {result.description}"
    failed = replace(result, status=ActionStatus.FAILED, description="no such program")
    assert result_object("", recognised, failed)["action"] == "failed: no such program"
    named = write(tmp_path, "intents: {setLight: {log: '{state}'}}")
    assert engine.actions(False, str(named)).perform(intent).description == "on"
    other = Engine.load(AssistantConfig(bundle=str(bundle), commands="agreeable"))
    assert Path(other.policy().source).parts[-2:] == ("configs", "actions.yaml")


def test_what_must_not_be_understood_is_spliced_and_compiled(bundle: Path, tmp_path: Path) -> None:
    commands = load_commands([write(tmp_path, TINY.replace("[dim the", "[mint the"))])
    bank = PosteriorBank.read(bundle / "posterior_bank.safetensors")
    ways = ways_of(commands, read_inventory(bundle))
    source = SentenceSource(commands, ways, bank)
    refused = source.must_not(False, 1)
    assert (refused.intent, refused.reading) == (0, None)
    spoken = sum(len(ways[word][0].phonemes) for word in ("mint", "the", "light"))
    assert abs(len(refused.log_probs) - spoken) <= 2
    compile_commands([tmp_path / "mine.yaml"], bundle, tmp_path / "mine", BRIEF)
    compiled = read_commands(tmp_path / "mine", read_acoustic(bundle))
    assert "mint" in compiled.lexicon
    assert compiled.refused == commands.refused
    assert "mint" not in {arc.word for arc in compiled.network.arcs}


def test_what_must_not_be_understood_is_refused_where_it_fits_better(
    bundle: Path, tmp_path: Path
) -> None:
    """However sure the confidence is: here everything is accepted that is not told otherwise."""
    text = TINY.replace("[dim the light]", "[turn the mint on]")
    text = text.replace("actions:", "skip_words: [please]\nactions:")
    compile_commands([write(tmp_path, text)], bundle, tmp_path / "mine", BRIEF)
    config = AssistantConfig(
        bundle=str(bundle), decision=DecisionConfig(confidence_threshold=0.0, lstm_weight=0.0)
    )
    engine = Engine.load(config, tmp_path / "mine")
    lexicon, phonemes = engine.commands.lexicon, len(engine.acoustic.phonemes)

    def heard(sentence: str) -> Hypothesis | Rejection:
        said = [phoneme for word in sentence.split() for phoneme in lexicon[word][0]]
        rows = torch.full((2 * len(said), phonemes), 0.02 / (phonemes - 1))
        rows[::2].scatter_(1, torch.tensor(said)[:, None], 0.98)
        rows[1::2, 0] = 0.98
        return engine.decoder().decide(rows.log())

    accepted = heard("turn the light on")
    assert isinstance(accepted, Hypothesis)
    assert accepted.intent == "setLight"
    for sentence in ("turn the mint on", "please turn the mint on please"):
        refused = heard(sentence)
        assert isinstance(refused, Rejection)
        assert refused.reason == f"must not be understood: '{sentence}' fits better"
        assert refused.best is not None
        assert refused.best.intent == "setLight"


@pytest.mark.parametrize(
    ("mistake", "instead"),
    [("turn the light on]", "turn the lamp on, dim to 9]"), ("'{state}'", "'{stat}'")],
)
def test_train_refuses_what_breaks_its_own_word_and_writes_nothing(
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    mistake: str,
    instead: str,
) -> None:
    text = TINY.replace('"{state}"', "'{state}'").replace(mistake, instead)
    path = write(tmp_path, text)
    output = tmp_path / "out"
    assert main(["train", str(path), "--bundle", str(bundle), "-o", str(output)]) == 2
    *_, line = capsys.readouterr().err.splitlines()  # after a warning that nobody can say yes
    assert line.startswith(f"error: {path}:1")
    assert not output.exists()


def test_lint_lists_every_broken_example(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path, TINY.replace("[turn the light on]", "[turn it on, dim to four]"))
    assert main(["lint", str(path), "--bundle", str(bundle), "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    found = [f for f in report["findings"] if f["kind"] == "example" and f["gravity"] == "error"]
    assert [f["where"] for f in found] == [f"{path}:11"] * 2


def test_one_seed_compiles_to_the_same_bytes(bundle, tmp_path):
    file = write(tmp_path, LIGHT)
    for name, seed in (("first", 5), ("again", 5), ("other", 6)):
        torch.manual_seed(len(name))  # whatever was drawn before
        compile_commands([file], bundle, tmp_path / name, replace(BRIEF, seed=seed))
    files = ("intent.safetensors", "network.json", "config.yaml")
    first, again, other = (
        [(tmp_path / name / file).read_bytes() for file in files]
        for name in ("first", "again", "other")
    )
    assert first == again
    assert first[0] != other[0]
