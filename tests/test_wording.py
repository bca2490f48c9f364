"""Numbers and apostrophes are read alike in command files and in typed text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assistant.bundle import Inventory
from assistant.errors import ConfigError
from assistant.grammar.commands import CommandSet
from assistant.grammar.reading import read_text, usual_words
from assistant.grammar.wording import half_forms, language_family, number_forms, spoken_text
from assistant.training.pronouncing import check_language, words_of

Load = Callable[..., CommandSet]


def level(load: Load, text: str, language: str = "en") -> list[object]:
    commands = load(
        f"language: {language}\nintents: {{i: {{data: [{{sentences: ['level {{level}}']}}]}}}}\n"
        "lists: {level: {range: {from: 0, to: 10}}}\n"
    )
    found = read_text(text, commands.network, commands.language)
    return [slots["level"] for _, slots in found]


@pytest.mark.parametrize("text", ["level 1/2", "level ½", "level 0.5", "level 1,000", "level 5/7"])
def test_a_number_that_is_not_among_the_levels_sets_none(load: Load, text: str) -> None:
    assert level(load, text) == []
    assert level(load, "level 5") == [5]


def test_no_language_says_the_last_word_of_a_decimal_for_a_half() -> None:
    assert half_forms("en") == (*number_forms(0.5, "en"), "half")
    assert half_forms("pt-BR") == number_forms(0.5, "pt-BR")
    assert half_forms("de") == number_forms(0.5, "de")
    assert "half" not in usual_words("on 1/2/2024", "en")


@pytest.mark.parametrize(
    ("text", "language", "number"),
    [
        ("1,000", "en", 1000),
        ("1,500.5", "en-GB", 1500.5),
        ("1.500", "en", 1.5),
        ("0,5", "en", 0.5),
        ("1.500", "pt-BR", 1500),
        ("1.500,5", "pt", 1500.5),
        ("0,5", "pt", 0.5),
        ("0.5", "pt", 0.5),
        ("0.500", "pt", 0.5),
        ("1,500", "pt_BR", 1.5),
        ("1,500", "es-MX", 1500),
        ("1,500", "es", 1.5),
        ("2\u202f000\u00a0000,5", "fr", 2000000.5),
        ("1,00,000", "hi", 100000),
        ("-1,000", "en", -1000),
        ("−0,5", "pt", -0.5),
        ("007", "en", 7),
    ],
)
def test_separators_are_those_of_the_language(text: str, language: str, number: float) -> None:
    """A command file and a typed text agree on what a number is."""
    words = tuple(number_forms(number, language)[0].split())
    assert tuple(spoken_text(text, language).split()) == words
    assert usual_words(text, language) == words


@pytest.mark.parametrize("text", ["2.5.2024", "2,5,2024", "2\u00a05\u00a02024"])
def test_digits_that_are_no_one_number_are_several(text: str) -> None:
    words = ("two", "five", "two", "thousand", "twenty", "four")
    assert usual_words(text, "en") == tuple(spoken_text(text, "en").split()) == words


@pytest.mark.parametrize("digits", ["9" * 16, "9" * 400, "9" * 5000, "9" * 5000 + ".5"])
def test_numbers_that_nobody_says_are_refused_in_a_line(digits: str) -> None:
    for read in (spoken_text, usual_words):
        with pytest.raises(ConfigError, match="more than anybody says; write it as words"):
            read(digits, "en")
    with pytest.raises(ConfigError, match="more than anybody says; write it as words"):
        number_forms(10**400, "en")
    assert usual_words("0" * 5000 + "7", "en") == ("seven",)


@pytest.mark.parametrize("language", ["pt", "pt-BR", "pt_BR", "PT-br"])
def test_a_language_is_of_one_family_with_any_region(load: Load, language: str) -> None:
    assert language_family(language) == "pt"
    commands = load(
        f"language: {language}\nintents: {{i: {{data: [{{sentences: [acende a luz]}}]}}}}\n"
    )
    check_language(commands, Inventory(Path("pt-br"), "pt-br", ()), Path("casa.yaml"))
    with pytest.raises(ConfigError, match="but en-us speaks en-us"):
        check_language(commands, Inventory(Path("en-us"), "en-us", ()), Path("casa.yaml"))


# ── apostrophes ────────────────────────────────────────────────────────────────────────────


def one_sentence(template: str, language: str = "en", rest: str = "") -> str:
    return (
        f'language: {language}\nintents: {{i: {{data: [{{sentences: ["{template}"]}}]}}}}\n{rest}'
    )


@pytest.mark.parametrize("apostrophe", ["'", "’", "ʼ"])
@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("turn on the kids' room light", "en", "turn on the kids room light"),
        ("play rock 'n' roll", "en", "play rock n roll"),
        ("the 'kitchen' light", "en", "the kitchen light"),
        ("light the dogs' '5'", "en", "light the dogs five"),
        ("what '' now", "en", "what now"),
        ("alza un po' il volume", "it", "alza un po il volume"),
        ("it's 5 o'clock, don't", "en", "it's five o'clock don't"),
        ("che ore sono, l'ora", "it", "che ore sono l'ora"),
        ("um copo d'água", "pt", "um copo d'água"),
    ],
)
def test_a_template_reads_its_own_text_with_any_apostrophes(
    load: Load, text: str, language: str, words: str, apostrophe: str
) -> None:
    commands = load(one_sentence(text.replace("'", apostrophe), language))
    assert read_text(text, commands.network, language) == [("i", {})]
    assert read_text(text.replace("'", apostrophe), commands.network, language) == [("i", {})]
    assert usual_words(text, language) == tuple(words.split())
    assert set(words_of(commands)) == set(words.split())


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        ("it('s| is) late", ["it's late", "it is late"]),
        ("James'( room|s room)", ["James' room", "James's room"]),
        ("the kid(s|'s|s') room", ["the kids room", "the kid's room", "the kids' room"]),
    ],
)
def test_apostrophes_between_pieces_of_a_word_stay_within_it(
    load: Load, template: str, texts: list[str]
) -> None:
    commands = load(one_sentence(template))
    assert [read_text(text, commands.network, "en") for text in texts] == [[("i", {})]] * len(texts)


def test_all_words_that_must_not_be_understood_are_in_the_lexicon(load: Load) -> None:
    examples = 'examples: {must_not: ["feed the dogs\' puppies"]}\n'
    commands = load(one_sentence("feed the dogs", rest=examples))
    assert commands.refused is not None
    refused = {arc.word for arc in commands.refused.arcs if arc.word}
    assert refused == {"feed", "the", "dogs", "puppies"}
    assert words_of(commands) == sorted(refused)


def test_phrases_around_a_sentence_have_the_same_words(load: Load) -> None:
    more = 'skip_words: ["y\' know"]\nwake_phrases: ["hey \'puter"]\n'
    commands = load(one_sentence("feed the dogs", rest=more))
    for text in ("y' know feed the dogs", "hey 'puter, feed the dogs y’ know"):
        assert read_text(text, commands.network, "en") == [("i", {})]
