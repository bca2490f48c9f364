"""Command files become word networks; networks give sentences, readings and near misses."""

from __future__ import annotations

import random
import unicodedata
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.daemon.commands_source import CommandsSource
from assistant.errors import ConfigError
from assistant.grammar.commands import CommandSet, load_commands
from assistant.grammar.network import WordNetwork, accepts, count_sentences, sentences_of
from assistant.grammar.sampling import SentenceSampler, sample_negative, sample_sentence
from assistant.grammar.wording import number_forms, spoken_text

COMMANDS = Path(__file__).parent.parent / "configs" / "commands"


@pytest.fixture(scope="module")
def home() -> CommandSet:
    return load_commands([COMMANDS / "home.en.yaml"])


@pytest.fixture(scope="module")
def casa() -> CommandSet:
    return load_commands([COMMANDS / "home.pt.yaml"])


@pytest.fixture(scope="module")
def coffee() -> CommandSet:
    return load_commands([COMMANDS / "coffee.en.yaml"])


Load = Callable[..., CommandSet]


def one_intent(sentence: str, rest: str = "", language: str = "en") -> str:
    return (
        f"language: {language}\nintents:\n  i:\n    data:\n"
        f"      - sentences: ['{sentence}']\n{rest}"
    )


def words(sentence: str) -> list[str]:
    return sentence.split()


def said(network: WordNetwork) -> set[str]:
    return {" ".join(sentence) for sentence, _ in sentences_of(network)}


# ── templates ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("Turn ON, please!", {"turn on please"}),
        ("[please] go [now]", {"go", "please go", "go now", "please go now"}),
        ("(a|b [c]) d", {"a d", "b d", "b c d"}),
        ("light[s] on", {"light on", "lights on"}),
        ("(un|)mute", {"unmute", "mute"}),
        ("[the ]light", {"the light", "light"}),
        ("set to x[%| percent]", {"set to x", "set to x percent"}),
        ("what(''s| is) it", {"what's it", "what is it"}),
        ("twenty-one", {"twenty one"}),
        ("room 12", {"room twelve"}),
        ("at -5.5 °C", {"at minus five point five c"}),
        ("(a;b)", {"a b", "b a"}),
        ("x (a;[b]) y", {"x a y", "x a b y", "x b a y"}),
        ("([a];[b];[c]) d", {f"{p} d".strip() for p in (
            "", "a", "b", "c", "a b", "b a", "a c", "c a", "b c", "c b",
            "a b c", "a c b", "b a c", "b c a", "c a b", "c b a")}),
        ("a|b", {"a", "b"}),
    ],
)  # fmt: skip
def test_template_expands_to_its_sentences(load: Load, template: str, expected: set[str]) -> None:
    network = load(one_intent(template)).network
    assert said(network) == expected
    assert count_sentences(network) == len(expected)


def test_optional_costs_one_epsilon_arc(load: Load) -> None:
    network = load(one_intent("[please] turn [it] on [now]")).network
    # One more leads from the start to the template.
    assert [arc.word for arc in network.arcs].count(None) == 3 + 1


def test_network_is_sorted_and_free_of_dead_ends(home: CommandSet) -> None:
    network = home.network
    assert all(arc.source < arc.target for arc in network.arcs)
    assert all(a.source <= b.source for a, b in pairwise(network.arcs))
    assert {arc.source for arc in network.arcs} | set(network.finals) == set(range(network.nodes))
    assert {arc.target for arc in network.arcs} | {network.start} == set(range(network.nodes))


def test_rules_lists_and_fixed_slots(load: Load) -> None:
    commands = load(
        """
language: en
intents:
  setLight:
    data:
      - sentences: ["turn on <the_light> [in the {room}]"]
        slots: {state: "on"}
      - sentences: ["turn off <the_light> [in the {room}]"]
        slots: {state: "off"}
  move:
    data:
      - sentences: ["from {room:origin} to {room:destination} at {5..15,5:speed}"]
lists:
  room: {values: [kitchen, {in: "(living room|lounge)", out: Living Room}]}
expansion_rules:
  the_light: "[the] light[s]"
"""
    )
    assert commands.intents == ("setLight", "move")
    assert commands.slots == {
        "state": ("on", "off"),
        "room": ("kitchen", "Living Room"),
        "origin": ("kitchen", "Living Room"),
        "destination": ("kitchen", "Living Room"),
        "speed": (5, 10, 15),
    }
    assert accepts(commands.network, words("turn on lights in the lounge")) == [
        ("setLight", {"state": "on", "room": "Living Room"})
    ]
    assert accepts(commands.network, words("from kitchen to kitchen at fifteen")) == [
        ("move", {"origin": "kitchen", "destination": "kitchen", "speed": 15})
    ]
    assert accepts(commands.network, words("turn on")) == []


def test_every_word_of_a_value_carries_its_assignment(load: Load) -> None:
    network = load(
        one_intent("in the {room} now", "lists: {room: {values: [living room]}}")
    ).network
    carried = [(arc.word, arc.assignment and arc.assignment.value) for arc in network.arcs]
    assert carried[1:] == [
        *(("in", None), ("the", None)),
        *(("living", "living room"), ("room", "living room"), ("now", None)),
    ]


def test_ambiguous_sentence_has_all_readings(load: Load) -> None:
    commands = load(
        "language: en\nintents:\n  a: {data: [{sentences: [stop]}]}\n"
        "  b: {data: [{sentences: ['[please] stop'], slots: {hard: 1}}]}\n"
    )
    assert accepts(commands.network, ["stop"]) == [("b", {"hard": 1}), ("a", {})]


# ── numbers ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("number", "language", "forms"),
    [
        (35, "en", ("thirty five",)),
        (100, "en", ("one hundred", "a hundred")),
        (105, "en", ("one hundred five", "one hundred and five", "a hundred five",
                     "a hundred and five")),
        (21.5, "en-GB", ("twenty one point five", "twenty one and a half")),
        (-3, "en", ("minus three",)),
        (-0.5, "en", ("minus zero point five", "minus a half")),
        (22.5, "pt-BR", ("vinte e dois vírgula cinco", "vinte e duas vírgula cinco",
                         "vinte e dois e meio", "vinte e duas e meio")),
        (1, "pt", ("um", "uma")),
    ],
)  # fmt: skip
def test_numbers_are_said_in_the_language(
    number: float, language: str, forms: tuple[str, ...]
) -> None:
    assert number_forms(number, language) == forms


def test_range_with_fractions_ends_at_its_end(load: Load) -> None:
    text = one_intent("{t} degrees", "lists: {t: {range: {from: 19, to: 21, fractions: halves}}}")
    commands = load(text)
    assert commands.slots["t"] == (19, 19.5, 20, 20.5, 21)
    assert [type(value) for value in commands.slots["t"]] == [int, float, int, float, int]
    for sentence in ("nineteen point five degrees", "nineteen and a half degrees"):
        assert accepts(commands.network, words(sentence)) == [("i", {"t": 19.5})]


def test_range_multiplier_scales_the_slot(load: Load) -> None:
    text = one_intent(
        "volume {v}", "lists: {v: {range: {from: 10, to: 30, step: 10, multiplier: 0.01}}}"
    )
    assert load(text).slots["v"] == (0.1, 0.2, 0.3)


@given(st.text(max_size=20))
@settings(max_examples=50, deadline=None)
def test_spoken_text_is_words_and_spaces(text: str) -> None:
    try:
        spoken = spoken_text(text, "en")
    except ConfigError:
        return
    assert spoken == spoken.lower()
    assert all(c in " '" or unicodedata.category(c)[0] in "LM" for c in spoken)


# ── mistakes in command files ──────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (one_intent("turn <the_lihgt> on", "expansion_rules: {the_light: light}"), 5,
         "unknown rule <the_lihgt>; did you mean <the_light>?"),
        (one_intent("turn {rom} on", "lists: {room: {values: [kitchen]}}"), 5,
         "unknown list {rom}; did you mean {room}?"),
        (one_intent("turn {rom} on"), 5, "define it under 'lists:'"),
        (one_intent("turn (on|off"), 5, "'(' at column 6 is never closed; add ')'"),
        (one_intent("turn on]"), 5, "']' at column 8 closes nothing"),
        (one_intent("turn [] on"), 5, "'[]' in 'turn [] on' is empty"),
        (one_intent("(a|b;c)"), 5, "'|' and ';' are mixed"),
        (one_intent(" "), 5, "empty sentence"),
        (one_intent("[please]"), 5, "no words at all"),
        (one_intent("(a;b;c;d;e)"), 5, "5 items in any order are too many"),
        (one_intent("<a>", "expansion_rules:\n  a: x <b>\n  b: y [<a>]"), 5,
         "recursive rule: <a> → <b> → <a>"),
        (one_intent("x", "expansion_rules:\n  a: '[<a>]'"), 7, "recursive rule: <a> → <a>"),
        (one_intent("x", "expansion_rules:\n  unused: '{nowhere}'"), 7, "unknown list {nowhere}"),
        (one_intent("{a} {a}", "lists: {a: {values: [x]}}"), 5, "'a' can be set twice"),
        (one_intent("{a}{b}", "lists: {a: {values: [x]}, b: {values: [y]}}"), 5,
         "put a space between them"),
        (one_intent("{0..100}"), 5, "write {0..100:slot}"),
        (one_intent("the 2nd"), 5, "'2nd' mixes digits and letters"),
        (one_intent("{a} b", "lists:\n  a:\n    wildcard: false"), 8,
         "write 'wildcard: true' alone"),
        (one_intent("{a} b", "lists:\n  a:\n    values:\n    - x\n    - in: X\n      out: y"), 10,
         "means 'y' here and 'x' at"),
        (one_intent("{a} b", "lists:\n  a:\n    values:\n    - '(x|y)'"), 9, "in several ways"),
        (one_intent("{a} b", "lists:\n  a:\n    values: [on]"), 8, "put it in quotes"),
        (one_intent("{a} b", "lists:\n  a:\n    range: {from: 5, to: 1}"), 8, "no numbers"),
        (one_intent("{a} b", "lists:\n  a:\n    range: {from: 1, until: 5}"), 8,
         "unknown key 'until'"),
        (one_intent("b 12", language="xx"), 5, "no number words are known for language 'xx'"),
        (one_intent("b", "        excludes_context: {area: }"), 6, "needs the values of 'area'"),
        (one_intent("b", "        requires_context: {area: {is: x}}"), 6, "unknown key 'is'"),
        (one_intent("b", "skip_words: ['%']"), 6, "'%' has no words"),
        (one_intent("at 1/2 b"), 5, "'1/2' cannot be pronounced"),
        (one_intent("b", "sentences: [please]"), 6, "unknown key 'sentences'"),
        ("language: en\nintents:\n  i: {}\n", 3, "intent 'i' has no sentences"),
        ("language: en\nintents:\n  i:\n    data:\n      - sentences: []\n", 5, "has no items"),
        ("language: en\nintents:\n  i:\n    data: [{slots: {a: 1}}]\n", 4, "has no sentences"),
        ("language: en\nlanguage: de\n", 2, "written twice"),
        ("intents: {}\n", 1, "'language' is missing"),
    ],
)  # fmt: skip
def test_mistakes_name_file_line_and_cure(load: Load, text: str, line: int, message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(text)
    assert f"0.yaml:{line}: " in str(raised.value)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_hidden_files_of_a_folder_are_no_commands(tmp_path: Path) -> None:
    (tmp_path / "rooms").mkdir()
    (tmp_path / "rooms/kitchen.yaml").write_text(one_intent("light on"), encoding="utf-8")
    (tmp_path / ".draft.yaml").write_text("half writ", encoding="utf-8")
    (tmp_path / "rooms/.#kitchen.yaml").symlink_to("me@machine.123")  # as Emacs locks a file
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/old.yaml").write_text("intents: {}", encoding="utf-8")
    assert load_commands([tmp_path]).intents == ("i",)
    assert CommandsSource(str(tmp_path), "en-us").files == (tmp_path / "rooms/kitchen.yaml",)


def test_missing_and_broken_files(load: Load, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_commands([tmp_path / "absent.yaml"])
    with pytest.raises(ConfigError, match="not valid YAML"):
        load("language: [en")
    with pytest.raises(ConfigError, match="empty"):
        load("")
    with pytest.raises(ConfigError, match="no intents"):
        load("language: en")


# ── several files ──────────────────────────────────────────────────────────────────────────


def test_files_merge(load: Load) -> None:
    lists = "lists: {room: {values: [kitchen]}}\n"
    commands = load(
        "language: en\n" + lists,
        one_intent("light in {room}"),
        one_intent("lamp in {room}", lists),
    )
    assert said(commands.network) == {"light in kitchen", "lamp in kitchen"}
    assert commands.intents == ("i",)


def test_clashes_name_both_files(load: Load) -> None:
    with pytest.raises(ConfigError, match=r"1\.yaml:6: list 'room' .* at .*0\.yaml:6"):
        load(
            one_intent("in {room}", "lists: {room: {values: [kitchen]}}"),
            one_intent("at {room}", "lists: {room: {values: [bedroom]}}"),
        )
    with pytest.raises(ConfigError, match=r"1\.yaml:1: language 'de' .* at .*0\.yaml:1"):
        load(one_intent("a"), one_intent("b", language="de"))


def test_source_hash_follows_the_text(load: Load) -> None:
    assert load(one_intent("a")).source_hash == load(one_intent("a")).source_hash
    assert load(one_intent("a")).source_hash != load(one_intent("b")).source_hash


# ── sampling ───────────────────────────────────────────────────────────────────────────────


def test_samples_are_reproducible_sentences(home: CommandSet) -> None:
    first, second = random.Random(7), random.Random(7)
    for _ in range(50):
        sentence = sample_sentence(home.network, first)
        assert sentence == sample_sentence(home.network, second)
        assert len(sentence.words) == len(sentence.assignments)
        spoken = {a.slot: a.value for a in sentence.assignments if a}
        assert spoken.items() <= sentence.slots.items()


def test_intents_are_balanced(home: CommandSet) -> None:
    rng = random.Random(1)
    sampler = SentenceSampler(home.network)
    intents = Counter(sampler.sentence(rng).intent for _ in range(4_200))
    assert set(intents) == set(home.intents)
    assert min(intents.values()) > 130
    assert max(intents.values()) < 280


def test_a_long_list_does_not_drown_its_alternatives(load: Load) -> None:
    network = load(one_intent("set ({0..100:level}|full)")).network
    rng = random.Random(3)
    full = sum("full" in sample_sentence(network, rng).words for _ in range(1_000))
    assert 400 < full < 600


def test_negatives_are_not_sentences(home: CommandSet, coffee: CommandSet, load: Load) -> None:
    rng = random.Random(5)
    for network in (home.network, coffee.network, load(one_intent("yes")).network):
        for _ in range(100):
            negative = sample_negative(network, rng)
            assert negative
            assert accepts(network, negative) == []


# ── the command files that travel with the package ─────────────────────────────────────────


def test_home_sentences_have_exactly_one_reading(home: CommandSet) -> None:
    rng = random.Random(11)
    for _ in range(600):
        sentence = sample_sentence(home.network, rng)
        expected = [(sentence.intent, sentence.slots)]
        assert accepts(home.network, sentence.words) == expected, " ".join(sentence.words)


def test_portuguese_sentences_have_exactly_one_reading(casa: CommandSet) -> None:
    test_home_sentences_have_exactly_one_reading(casa)


def test_home_stays_moderate_in_size(home: CommandSet, casa: CommandSet) -> None:
    assert len(home.network.arcs) < 15_000
    assert len(casa.network.arcs) < 15_000


def test_one_policy_serves_both_languages(home: CommandSet, casa: CommandSet) -> None:
    assert casa.intents == home.intents
    assert {s: set(v) for s, v in casa.slots.items()} == {s: set(v) for s, v in home.slots.items()}


@pytest.mark.parametrize(
    ("sentence", "intent", "slots"),
    [
        ("could you turn on the kitchen lights please", "setLight",
         {"state": "on", "room": "kitchen"}),
        ("turn off all the lights", "setLight", {"state": "off", "room": "everywhere"}),
        ("switch the lights in the kids room off", "setLight",
         {"state": "off", "room": "kids room"}),
        ("dim the bedroom lights to thirty five percent", "setBrightness",
         {"room": "bedroom", "brightness": 35}),
        ("set the brightness to a hundred", "setBrightness", {"brightness": 100}),
        ("make the lights warm white", "setColour", {"colour": "warm white"}),
        ("set the temperature in the office to twenty one and a half degrees", "setTemperature",
         {"room": "office", "temperature": 21.5}),
        ("set a timer for one hour and twenty minutes", "setTimer", {"hours": 1, "minutes": 20}),
        ("set a timer for half an hour", "setTimer", {"minutes": 30}),
        ("set a timer for an hour and a half", "setTimer", {"hours": 1, "minutes": 30}),
        ("start a ninety minute timer", "setTimer", {"minutes": 90}),
        ("timer for a minute", "setTimer", {"minutes": 1}),
        ("count down ten seconds", "setTimer", {"seconds": 10}),
        ("stop the timer", "cancelTimer", {}),
        ("turn the volume up to forty", "setVolume", {"level": 40}),
        ("turn up the music", "changeVolume", {"direction": "up"}),
        ("mute", "changeVolume", {"direction": "mute"}),
        ("next song", "mediaControl", {"command": "next"}),
        ("open the text editor", "openApplication", {"application": "text editor"}),
        ("what's the weather like today", "openSite", {"site": "weather"}),
        ("minimize this window", "controlWindow", {"operation": "minimize"}),
        ("go to workspace three", "switchWorkspace", {"workspace": 3}),
        ("previous workspace", "switchWorkspace", {"direction": "previous"}),
        ("take a screenshot", "takeScreenshot", {}),
        ("lock my computer", "lockScreen", {}),
        ("what time is it", "askTime", {}),
        ("what's the date today", "askDate", {}),
        ("yes please", "confirm", {}),
        ("no thanks", "deny", {}),
        ("cancel that", "cancel", {}),
        ("never mind", "neverMind", {}),
    ],
)  # fmt: skip
def test_home_understands(
    home: CommandSet, sentence: str, intent: str, slots: dict[str, object]
) -> None:
    assert accepts(home.network, words(sentence)) == [(intent, slots)]


@pytest.mark.parametrize(
    ("sentence", "intent", "slots"),
    [
        ("acende a luz da cozinha por favor", "setLight", {"state": "on", "room": "kitchen"}),
        ("você poderia apagar todas as luzes", "setLight", {"state": "off", "room": "everywhere"}),
        ("quero que você desligue as luzes do quarto das crianças", "setLight",
         {"state": "off", "room": "kids room"}),
        ("diminua a luz da sala para trinta e cinco por cento", "setBrightness",
         {"room": "living room", "brightness": 35}),
        ("coloca as lâmpadas no máximo", "setBrightness", {"brightness": 100}),
        ("deixe as luzes da sala de jantar azuis", "setColour",
         {"room": "dining room", "colour": "blue"}),
        ("coloque o ar condicionado em vinte e um graus e meio", "setTemperature",
         {"temperature": 21.5}),
        ("timer de uma hora e vinte e dois minutos", "setTimer", {"hours": 1, "minutes": 22}),
        ("cria um temporizador de duas horas e meia", "setTimer", {"hours": 2, "minutes": 30}),
        ("me avisa daqui a meia hora", "setTimer", {"minutes": 30}),
        ("cancela o alarme", "cancelTimer", {}),
        ("aumenta o volume para quarenta", "setVolume", {"level": 40}),
        ("abaixa o som um pouquinho", "changeVolume", {"direction": "down"}),
        ("para a música", "mediaControl", {"command": "stop"}),
        ("próxima música", "mediaControl", {"command": "next"}),
        ("abre o bloco de notas", "openApplication", {"application": "text editor"}),
        ("como está o tempo hoje", "openSite", {"site": "weather"}),
        ("minimiza essa janela", "controlWindow", {"operation": "minimize"}),
        ("vai para a área de trabalho dois", "switchWorkspace", {"workspace": 2}),
        ("tira um print da tela", "takeScreenshot", {}),
        ("bloqueia o computador", "lockScreen", {}),
        ("que horas são", "askTime", {}),
        ("que dia é hoje", "askDate", {}),
        ("sim por favor", "confirm", {}),
        ("não obrigado", "deny", {}),
        ("cancela isso", "cancel", {}),
        ("deixa pra lá", "neverMind", {}),
    ],
)  # fmt: skip
def test_portuguese_home_understands(
    casa: CommandSet, sentence: str, intent: str, slots: dict[str, object]
) -> None:
    assert accepts(casa.network, words(sentence)) == [(intent, slots)]


@pytest.mark.parametrize(
    "sentence",
    ["vinte e dois horas", "timer de duas minutos", "quero que você acende a luz", "luzes azul"],
)
def test_portuguese_agrees_in_gender_and_number(casa: CommandSet, sentence: str) -> None:
    assert not accepts(casa.network, words(sentence))


def test_coffee_orders(coffee: CommandSet) -> None:
    order = "can i get a triple shot large latte with lots of brown sugar and some soy milk"
    assert accepts(coffee.network, words(order)) == [
        ("orderDrink", {
            "numberOfShots": "triple shot",
            "size": "large",
            "coffeeDrink": "latte",
            "sugarAmount": "lots of brown sugar",
            "milkAmount": "some soy milk",
        })
    ]  # fmt: skip
    # 9 ways to ask × 2 articles × the orders of up to 7 sizes, 3 roasts and 3 numbers of shots
    # × 10 drinks × what goes with it.
    modifiers = 1 + (7 + 3 + 3) + 2 * (7 * 3 + 7 * 3 + 3 * 3) + 6 * 7 * 3 * 3
    extras = 1 + 36 + 18 + 2 * 36 * 18
    assert count_sentences(coffee.network) == 9 * 2 * modifiers * 10 * extras
