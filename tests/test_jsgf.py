"""Command files as JSGF: read back by an independent reader, the same sentences come out."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from assistant.evaluation.peers.jsgf import jsgf
from assistant.grammar.commands import load_commands
from assistant.grammar.network import sentences_of

ROOT = Path(__file__).parents[1]


def read_jsgf(text):
    """The sentences of a JSGF grammar, by its textbook meaning; fails on what it cannot read."""
    header, rest = text.split("\n", 1)
    assert re.fullmatch(r"#JSGF V1\.0 UTF-8 \S+;", header)
    grammar, rest = rest.split("\n", 1)
    assert re.fullmatch(r"grammar \w+;", grammar)
    rules = {}
    for line in rest.strip().splitlines():
        is_public, name, body = re.fullmatch(r"(public )?<(\w+)> = (.+);", line).groups()
        assert name not in rules
        assert bool(is_public) == (name == "command")
        rules[name] = re.findall(r"<\w+>|[()\[\]|]|[^\s()\[\]|<>]+", body)

    def alternatives(tokens):
        found = sequence(tokens)
        while tokens and tokens[0] == "|":
            tokens.pop(0)
            found |= sequence(tokens)
        return found

    def sequence(tokens):
        assert tokens and tokens[0] not in "|)]", "an empty alternative"
        found = {()}
        while tokens and tokens[0] not in ("|", ")", "]"):
            found = {(*before, *after) for before, after in product(found, item(tokens))}
        return found

    def item(tokens):
        token = tokens.pop(0)
        if token in "([":
            found = alternatives(tokens)
            assert tokens.pop(0) == {"(": ")", "[": "]"}[token]
            return found | ({()} if token == "[" else set())
        if token.startswith("<"):
            rule = list(rules[token.strip("<>")])
            found = alternatives(rule)
            assert not rule
            return found
        return {(token.strip('"'),)}

    tokens = list(rules["command"])
    found = alternatives(tokens)
    assert not tokens
    return found


TEMPLATES = {
    "words": "stop it",
    "optional": "turn it off [please]",
    "optional within a word": "play the song[s] [now]",
    "nested optional": "go [to [the]] bed",
    "alternatives": "(switch|turn) the light (on|off)",
    "alternatives of several words": "(put on|start up) (the big light|music) now",
    "a rule": "<please> tell me a joke",
    "a list": "turn on the {room} light",
    "two lists": "set {room} to {colour} [light]",
    "a range": "wait {minutes} minutes",
    "any order": "show ({room};[in] {colour};today)",
    "any order, each optional": "make me ([{room}];[{colour}];[{minutes}]) tea",
    "one word in two rules": "(<please> [and] {room}|{room} <please>)",
    "words of JSGF itself": "import (public|grammar) books",
    "apostrophes": "what's on [at five o'clock]",
}
LISTS = """
lists:
  room: {values: [kitchen, living room, {in: "[the] (lounge|den)", out: living room}]}
  colour: {values: [red, warm white, cool white]}
  minutes: {range: {from: 8, to: 21}}
expansion_rules:
  please: "(please|could you [please])"
"""


def network_of(tmp_path, *templates, more=LISTS):
    sentences = ", ".join(f'"{template}"' for template in templates)
    text = f"language: en\nintents: {{it: {{data: [{{sentences: [{sentences}]}}]}}}}\n{more}"
    path = tmp_path / "commands.yaml"
    path.write_text(text, encoding="utf-8")
    return load_commands([path]).network


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES.keys())
def test_the_grammar_has_the_sentences_of_the_template(tmp_path, template):
    network = network_of(tmp_path, template)
    assert read_jsgf(jsgf(network, "en")) == {words for words, _ in sentences_of(network)}


def test_the_grammar_has_the_sentences_of_all_templates_and_phrases_around_them(tmp_path):
    more = LISTS + "skip_words: [please, could you]\n"
    network = network_of(tmp_path, *list(TEMPLATES.values())[:6], more=more)
    assert read_jsgf(jsgf(network, "en")) == {words for words, _ in sentences_of(network)}


def test_slot_values_are_rules_of_their_own_and_shared(tmp_path):
    text = jsgf(network_of(tmp_path, "from {room:from_room} to {room}", "[light] {room}"), "en")
    assert "<from_room> = " in text
    assert text.count("<room> = ") == 1
    assert "kitchen" in text
    assert text.count("kitchen") == 2


@pytest.mark.parametrize("name", ["coffee.en", "home.en"])
def test_the_grammar_of_billions_of_sentences_is_small(name):
    commands = load_commands([ROOT / "configs/commands" / f"{name}.yaml"])
    assert len(jsgf(commands.network, commands.language)) < 60_000
