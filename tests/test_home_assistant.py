"""What Home Assistant's sentence files use: contexts, wildcards, skip words, folders, symbols."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from assistant.errors import ConfigError
from assistant.grammar.commands import CommandSet, load_commands
from assistant.grammar.network import Reading, accepts, sentences_of
from assistant.grammar.reading import read_text
from assistant.types import SlotValue

LISTS = """
lists:
  name:
    values:
      - {in: bedroom lamp, context: {domain: light, area: bedroom}}
      - {in: "(fan|ventilator)", out: fan, context: {domain: fan}}
      - {in: front door, context: {domain: lock}, metadata: {anything: [at all]}}
      - {in: front door, context: {domain: cover, kind: door}}
  area: {values: [kitchen, bedroom]}
  anything: {wildcard: true}
"""


def commands(
    tmp_path: Path,
    sentence: str,
    conditions: str = "",
    context: Mapping[str, SlotValue] | None = None,
    more: str = "",
) -> CommandSet:
    """One block of one sentence, beside one that can always be said."""
    path = tmp_path / "commands.yaml"
    path.write_text(
        "language: en\nintents:\n  always: {data: [{sentences: [always]}]}\n  i:\n    data:\n"
        f"      - sentences: ['{sentence}']\n{conditions}\n{LISTS}{more}",
        encoding="utf-8",
    )
    return load_commands([path], context or {})


def said(commands: CommandSet) -> set[str]:
    sentences = {" ".join(words) for words, _ in sentences_of(commands.network)}
    return sentences - {"always"}


def read(commands: CommandSet, text: str) -> list[Reading]:
    return read_text(text, commands.network, commands.language)


# ── contexts ───────────────────────────────────────────────────────────────────────────────

LAMP, FAN, VENTILATOR, DOOR = (
    f"{name} on" for name in ("bedroom lamp", "fan", "ventilator", "front door")
)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ("requires_context: {domain: light}", {LAMP}),
        ("requires_context: {domain: [light, fan]}", {LAMP, FAN, VENTILATOR}),
        ("requires_context: {domain: {value: light}}", {LAMP}),
        ("requires_context: {domain: }", {LAMP, FAN, VENTILATOR, DOOR}),
        ("requires_context: {kind: }", {DOOR}),
        ("requires_context: {kind: {slot: true}}", {DOOR}),
        ("requires_context: {domain: lock, kind: door}", set()),
        ("requires_context: {domain: vacuum}", set()),
        ("excludes_context: {domain: [light, lock]}", {FAN, VENTILATOR, DOOR}),
        ("excludes_context: {domain: light}", {FAN, VENTILATOR, DOOR}),
        ("name_domains: [light, fan]", {LAMP, FAN, VENTILATOR}),
    ],
)  # fmt: skip
def test_conditions_choose_among_the_values(
    tmp_path: Path, conditions: str, expected: set[str]
) -> None:
    loaded = commands(tmp_path, "{name} on", f"        {conditions}")
    assert said(loaded) == expected
    assert sum(loaded.left_out.values()) == (not expected)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("[{name}] on", {LAMP}),
        ("({name}|{area}) on", {LAMP}),
        ("({area};{name};on)", {
            f"{' '.join(order)}" for area in ("kitchen", "bedroom") for order in (
                (area, "bedroom lamp", "on"), (area, "on", "bedroom lamp"),
                ("on", area, "bedroom lamp"), ("on", "bedroom lamp", area),
                ("bedroom lamp", area, "on"), ("bedroom lamp", "on", area))}),
        ("<it> on", {LAMP}),
        ("on [{name}] [{name:other}]", {"on bedroom lamp", "on bedroom lamp bedroom lamp"}),
        ("{area} on", set()),
        ("on", set()),
    ],
)  # fmt: skip
def test_without_a_value_that_carries_it_a_context_is_missing(
    tmp_path: Path, sentence: str, expected: set[str]
) -> None:
    rules = "expansion_rules: {it: '[the {area}|{name}]'}"
    loaded = commands(tmp_path, sentence, "        requires_context: {domain: light}", more=rules)
    assert said(loaded) == expected
    assert loaded.left_out == ({} if expected else {"the context 'domain' is not given": 1})


def test_surroundings_meet_conditions_and_fill_slots(tmp_path: Path) -> None:
    copied = "        requires_context: {area: {slot: true}}"
    assert said(commands(tmp_path, "lights on", copied)) == set()
    loaded = commands(tmp_path, "lights on [in the {area}]", copied, {"area": "kitchen"})
    assert read(loaded, "lights on") == [("i", {"area": "kitchen"})]
    assert read(loaded, "lights on in the bedroom") == [("i", {"area": "bedroom"})]
    assert loaded.slots == {"area": ("kitchen", "bedroom")}
    named = "        requires_context: {area: {value: [kitchen, hall], slot: place}}"
    loaded = commands(tmp_path, "lights on", named, more="context: {area: hall}")
    assert read(loaded, "lights on") == [("i", {"place": "hall"})]
    assert said(commands(tmp_path, "lights on", named, {"area": "garage"})) == set()


def test_surroundings_can_exclude(tmp_path: Path) -> None:
    excluded = "        excludes_context: {area: kitchen}"
    assert said(commands(tmp_path, "go", excluded)) == {"go"}
    assert said(commands(tmp_path, "go", excluded, {"area": "hall"})) == {"go"}
    assert said(commands(tmp_path, "go", excluded, {"area": "kitchen"})) == set()


def test_slot_takes_what_the_value_said_carries(tmp_path: Path) -> None:
    copied = "        requires_context: {area: {slot: true}}"
    loaded = commands(tmp_path, "{name} on", copied, {"area": "hall"})
    assert read(loaded, LAMP) == [("i", {"name": "bedroom lamp", "area": "bedroom"})]
    # What carries no area of its own stands where everything stands.
    assert read(loaded, FAN) == [("i", {"name": "fan", "area": "hall"})]


# ── what cannot be heard ───────────────────────────────────────────────────────────────────


def test_wildcards_are_left_out_and_counted(tmp_path: Path) -> None:
    loaded = commands(tmp_path, "write {anything}")
    assert loaded.left_out == {"{anything} is a wildcard": 1}
    assert loaded.intents == ("always",)
    assert said(commands(tmp_path, "timer [named {anything}] (on|for {anything})")) == {"timer on"}


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "wild.yaml"
    path.write_text(
        "language: en\nintents: {i: {data: [{sentences: ['say {x}']}]}}\n"
        "lists: {x: {wildcard: true}}\n"
    )
    with pytest.raises(ConfigError, match=r"wild.yaml: no sentence can be said: \{x\} is a wildc"):
        load_commands([path])


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("to 5[([ ]%)| percent]", {"to five", "to five percent"}),
        ("to 5 (%|percent)", {"to five percent"}),
        ("to 5[ ]%", {"to five"}),
        ("(1/2|half) a minute", {"half a minute"}),
        ("5 [°| degree[s]]", {"five", "five degree", "five degrees"}),
        ("{2..3:n}[%|percent]", {"two", "three", "two percent", "three percent"}),
        ("CO2 and N2O", {"co two and n two o"}),
    ],
)  # fmt: skip
def test_symbols_are_not_words(tmp_path: Path, sentence: str, expected: set[str]) -> None:
    assert said(commands(tmp_path, sentence)) == expected


def test_value_that_cannot_be_pronounced(tmp_path: Path) -> None:
    lists = "  half: {values: [{in: half, out: 30}, {in: 1/2, out: 30}]}"
    assert said(commands(tmp_path, "{half} on", more=lists)) == {"half on"}
    lists = "  half: {values: [{in: 1/2, out: 30}]}"
    with pytest.raises(ConfigError, match=r"'1/2' in list 'half' cannot be pronounced"):
        commands(tmp_path, "{half} on", more=lists)


# ── around sentences ───────────────────────────────────────────────────────────────────────


def test_skip_words_before_and_after(tmp_path: Path) -> None:
    loaded = commands(tmp_path, "(go|stop) now", more="skip_words: [Please!, could you]")
    for text in (
        *("go now", "please go now", "could you please stop now", "go now please could you"),
        "please please go now could you could you",
    ):
        assert read(loaded, text) == [("i", {})]
    assert read(loaded, "always please") == [("always", {})]
    for text in ("go please now", "could go now", "please please please go now", "please"):
        assert read(loaded, text) == []


def test_a_wake_phrase_may_come_first_or_alone(tmp_path: Path) -> None:
    more = "wake_phrases: [Hey Computer, jarvis]\nskip_words: [please]"
    loaded = commands(tmp_path, "(go|stop) now", more=more)
    assert loaded.wake_phrases == ("hey computer", "jarvis")
    assert loaded.intents[-1] == "wake"
    for text in ("go now", "hey computer stop now", "jarvis please go now"):
        assert read(loaded, text) == [("i", {})]
    assert read(loaded, "hey computer") == [("wake", {})]
    for text in ("hey stop now", "go now jarvis", "jarvis jarvis go now"):
        assert read(loaded, text) == []
    text = (tmp_path / "commands.yaml").read_text(encoding="utf-8").replace("  i:", "  wake:")
    (tmp_path / "commands.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="rename yours"):
        load_commands([tmp_path / "commands.yaml"])


def test_what_must_not_be_understood_is_not_after_a_wake_phrase_either(tmp_path: Path) -> None:
    more = "wake_phrases: [hey computer]\nskip_words: [please]\nexamples: {must_not: [go then]}"
    refused = commands(tmp_path, "go now", more=more).refused
    assert refused is not None
    for text in ("go then", "please go then", "hey computer please go then"):
        assert accepts(refused, text.split())
    assert not accepts(refused, ["hey", "computer"])


def test_skip_words_cost_nothing_where_there_are_none(tmp_path: Path) -> None:
    assert len(commands(tmp_path, "go").network.arcs) == 4


# ── files and folders ──────────────────────────────────────────────────────────────────────


def test_folder_of_files_in_both_forms(tmp_path: Path) -> None:
    folder = tmp_path / "sentences"
    files = {
        "_common.yaml": "language: en\nexpansion_rules: {turn: (turn|switch)}",
        "light.yaml": "language: en\nintents: {TurnOn: {data: [{sentences: ['<turn> on {name}'],"
        " requires_context: {domain: light}}]}}",
        "TurnOff/name_only.yaml": "language: en\ndata:\n"
        "  - {sentences: ['<turn> off {name}', '<gone> off'], name_domains: [fan]}\n"
        "  - {sentences: [lights off], inferred_domain: light, response: x}",
        "Say/default.yaml": "language: en\ndata: [{sentences: ['say {anything}']}]",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    mine = tmp_path / "mine.yaml"
    mine.write_text(f"language: en\n{LISTS}")
    loaded = load_commands([folder, mine])
    assert read(loaded, "switch on bedroom lamp") == [("TurnOn", {"name": "bedroom lamp"})]
    assert read(loaded, "turn off fan") == [("TurnOff", {"name": "fan"})]
    assert read(loaded, "lights off") == [("TurnOff", {"domain": "light"})]
    assert read(loaded, "turn on fan") == []
    assert loaded.intents == ("TurnOff", "TurnOn")
    assert loaded.left_out == {"<gone> is not defined": 1, "{anything} is a wildcard": 1}
    # A folder is the same as its files, one by one; but each must have something to say.
    with pytest.raises(ConfigError, match=r"default.yaml: no sentence can be said"):
        load_commands([*(folder / name for name in files), mine])
    with pytest.raises(ConfigError, match="no command files"):
        (tmp_path / "empty").mkdir()
        load_commands([tmp_path / "empty"])


def test_fixed_slot_gives_way_to_what_is_said(tmp_path: Path) -> None:
    loaded = commands(tmp_path, "on [in {area}]", "        slots: {area: hall, kind: [a, b]}")
    assert read(loaded, "on") == [("i", {"area": "hall", "kind": "a, b"})]
    assert read(loaded, "on in kitchen") == [("i", {"area": "kitchen", "kind": "a, b"})]


def test_values_may_share_words_unless_one_has_no_other(tmp_path: Path) -> None:
    lists = "  kind: {values: [{in: blind, out: 1}, {in: (blind|curtain), out: 2}]}"
    loaded = commands(tmp_path, "{kind} up", more=lists)
    assert read(loaded, "blind up") == [("i", {"kind": 1}), ("i", {"kind": 2})]
    lists = "  kind: {values: [{in: (blind|curtain), out: 1}, {in: blind, out: 2}]}"
    with pytest.raises(ConfigError, match="'blind' in list 'kind' means 2 here and 1 at"):
        commands(tmp_path, "{kind} up", more=lists)


# ── reading text ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Set it to 20!", 20),
        ("set it to 20%", 20),
        ("SET IT, to twenty percent.", 20),
        ("set it to 20.5 percent", 20.5),
        ("set it to 20,5 percent", 20.5),
        ("set it to 100", 100),
        ("set it to a hundred", 100),
    ],
)
def test_text_is_read_in_digits_and_words(tmp_path: Path, text: str, value: float) -> None:
    lists = "  level: {range: {from: 0, to: 100, fractions: halves}}"
    loaded = commands(tmp_path, "set it to {level}[([ ]%)| percent]", more=lists)
    assert read(loaded, text) == [("i", {"level": value})]
    assert read(loaded, "set it to 101") == []
    assert read(loaded, "set it to") == []


def test_reading_whose_slots_take_more_words_comes_first(tmp_path: Path) -> None:
    loaded = commands(tmp_path, "({area} lamp|{name}) on")
    assert read(loaded, LAMP) == [("i", {"name": "bedroom lamp"}), ("i", {"area": "bedroom"})]


def test_of_readings_that_take_the_same_words_the_one_of_more_slots_comes_first(
    tmp_path: Path,
) -> None:
    commands(tmp_path, "open", more="context: {area: hall}")
    path = tmp_path / "more.yaml"
    path.write_text(
        "language: en\nintents: {i: {data: [{sentences: [open],"
        " requires_context: {area: {slot: true}}}]}}"
    )
    loaded = load_commands([tmp_path / "commands.yaml", path])
    assert read(loaded, "open") == [("i", {"area": "hall"}), ("i", {})]


def test_a_half_may_be_written_in_digits(tmp_path: Path) -> None:
    loaded = commands(tmp_path, "(1/2|half) an hour")
    assert read(loaded, "1/2 an hour") == read(loaded, "½ an hour") == [("i", {})]


def test_numbers_of_portuguese_have_two_genders(tmp_path: Path) -> None:
    path = tmp_path / "pt.yaml"
    path.write_text(
        "language: pt-br\nlists: {h: {range: {from: 1, to: 24}}}\n"
        "intents: {i: {data: [{sentences: ['{h} hora[s] e {1..59:m} minuto[s]']}]}}\n"
    )
    assert read(load_commands([path]), "2 horas e 21 minutos") == [("i", {"h": 2, "m": 21})]
