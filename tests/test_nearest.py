"""The nearest sentence of a grammar: found without listing its sentences."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.evaluation.peers.alignment import (
    EDIT,
    FAR,
    Alignable,
    Alignment,
    longest_run,
)
from assistant.evaluation.peers.nearest import NearestSentence, distance
from assistant.grammar.commands import load_commands
from assistant.grammar.network import sentences_of

GRAMMAR = """
language: en
intents:
  setLight:
    data:
      - sentences: ["(turn|switch) {state} [the] {room} (light|lights)"]
  setTimer:
    data:
      - sentences: ["set a timer for {minutes} minutes", "timer {minutes}"]
        slots: {kind: timer}
lists:
  state: {values: ["on", "off"]}
  room: {values: [kitchen, living room, {in: "(lounge|den)", out: living room}]}
  minutes: {range: {from: 1, to: 30}}
"""


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    path = tmp_path_factory.mktemp("grammar") / "kitchen.yaml"
    path.write_text(GRAMMAR, encoding="utf-8")
    return load_commands([path])


@pytest.fixture(scope="module")
def nearest(commands):
    return NearestSentence(commands.network, commands.language)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    path = tmp_path_factory.mktemp("grammar") / "small.yaml"
    path.write_text(
        'language: en\nintents: {a: {data: [{sentences: ["turn (on|off) [the] {r} [light]", '
        '"timer"]}]}}\nlists: {r: {values: [kitchen, living room]}}\n'
    )
    return load_commands([path]).network


@pytest.mark.parametrize(
    ("text", "intent", "slots"),
    [
        ("Turn on the kitchen lights.", "setLight", {"state": "on", "room": "kitchen"}),
        ("Turn of the kitchen lights", "setLight", {"state": "off", "room": "kitchen"}),
        ("switch off livingroom light", "setLight", {"state": "off", "room": "living room"}),
        ("Uh, turn on the, um, lounge lights", "setLight", {"state": "on", "room": "living room"}),
        ("turn on the kit chen light", "setLight", {"state": "on", "room": "kitchen"}),
        ("Set a timer for 25 minutes!", "setTimer", {"kind": "timer", "minutes": 25}),
        ("Set a time for 7 minute", "setTimer", {"kind": "timer", "minutes": 7}),
        ("Time or 12", "setTimer", {"kind": "timer", "minutes": 12}),
    ],
)
def test_slots_come_out_of_the_nearest_sentence(nearest, text, intent, slots):
    found = nearest(text)
    assert (found.intent, dict(found.slots)) == (intent, slots)


def test_the_distance_is_nothing_for_a_sentence_and_grows_with_the_edits(nearest):
    said = [
        "Switch on the den lights",
        "Switch on the then lights",
        "Switch on the then light bulbs",
        "The quick brown fox jumps over the lazy dog",
    ]
    distances = [nearest(text).distance for text in said]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert 0.6 < distances[3] <= 1


def test_nothing_is_near_to_no_words(nearest):
    assert nearest("") is None
    assert nearest(" ... ♪ ") is None


def test_symbols_are_said(tmp_path):
    path = tmp_path / "dim.yaml"
    path.write_text(
        'language: en\nintents: {dim: {data: [{sentences: ["dim to {level} percent"]}]}}\n'
        "lists: {level: {range: {from: 0, to: 100, step: 5}}}\n"
    )
    commands = load_commands([path])
    found = NearestSentence(commands.network, "en")("Dim to 45%.")
    assert found.slots == {"level": 45}
    assert found.distance == 0


def test_a_long_text_has_a_nearest_sentence_too(nearest):
    found = nearest("and so it was that " * 40 + "turn on the kitchen light")
    assert found.intent == "setLight"
    assert found.distance > 0.9


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("", "", 0.0),
        ("", "on", 1.0),
        ("turn on", "turn on", 0.0),
        ("turn on", "turn off", (1 / 2 + 2 / 8) / 2),
        ("a", "b c", (2 / 2 + 3 / 3) / 2),
    ],
)
def test_distance(one, other, expected):
    assert distance(one.split(), other.split()) == pytest.approx(expected)
    assert distance(other.split(), one.split()) == pytest.approx(expected)


def cost_of(sentence, heard):
    """What it costs to take a text for a sentence; the definition, word by word and slowly."""
    letters = "".join(heard)
    begins = [sum(map(len, heard[:i])) for i in range(len(heard) + 1)]
    placed = set(zip(begins, heard, strict=False))

    def taken(word, start, end):
        if (start, word) in placed and end == start + len(word):
            return 0
        words = max(1, sum(start <= b < end for b in begins[:-1]))
        return words * len(letters) * EDIT + letter_cost(word, letters[start:end]) * len(heard)

    costs = {0: 0}
    for word in (*sentence, None):
        for i, length in enumerate(map(len, heard)):
            if begins[i] in costs:
                skipped = (len(letters) + length * len(heard)) * EDIT
                end = begins[i + 1]
                costs[end] = min(costs.get(end, FAR), costs[begins[i]] + skipped)
        if word is not None:
            costs = {
                end: min(
                    cost + taken(word, start, end)
                    for start, cost in costs.items()
                    if start <= end <= start + longest_run(word)
                )
                for end in range(len(letters) + 1)
                if any(start <= end <= start + longest_run(word) for start in costs)
            }
    return costs[len(letters)]


@cache
def letter_cost(one, other):
    if not one or not other:
        return (len(one) + len(other)) * EDIT
    return min(
        letter_cost(one[1:], other) + EDIT,
        letter_cost(one, other[1:]) + EDIT,
        letter_cost(one[1:], other[1:]) + (one[0] != other[0]) * (EDIT + 1),
    )


WORDS = st.sampled_from(["turn", "of", "on", "the", "kitch", "en", "livingroom", "light", "timer"])


@settings(max_examples=20, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=5))
def test_no_sentence_is_nearer(small, words):
    alignment = Alignment(Alignable(small), words)
    costs = {said: cost_of(said, words) for said, _ in sentences_of(small)}
    assert alignment.cost == min(costs.values())
    assert costs[alignment.words()] == alignment.cost
