"""The command graph against a reference that scores every sentence on its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from assistant.errors import BundleError, ConfigError
from assistant.grammar.agreement import Agreement
from assistant.grammar.graph import PhonemeGraph, free_loop_score, greedy
from assistant.grammar.nbest import best_readings
from assistant.grammar.network import Arc, Final, SlotAssignment, WordNetwork

PHONEMES = 6
WORDS = "abcdef"
KITCHEN = SlotAssignment("area", "kitchen")
BEDROOM = SlotAssignment("area", "bedroom")
VALUES = (KITCHEN, BEDROOM, SlotAssignment("level", 2))
Lexicon = Mapping[str, Sequence[tuple[int, ...]]]


def posteriors(rng: np.random.Generator, rows: int, sharpness: float = 2.0) -> np.ndarray:
    logits = sharpness * rng.standard_normal((rows, PHONEMES))
    return (logits - np.log(np.exp(logits).sum(1, keepdims=True))).astype(np.float32)


def peaky(ids: Sequence[int], probability: float = 0.95) -> np.ndarray:
    rows = np.full((len(ids), PHONEMES), (1 - probability) / (PHONEMES - 1), np.float32)
    rows[np.arange(len(ids)), ids] = probability
    return np.log(rows)


# ── the reference: enumerate paths, score each with a plain CTC Viterbi ────────────────────


@dataclass
class Sentence:
    words: tuple[str, ...]
    final: Final
    slots: dict[str, object]
    log_prob: float
    score: float


def paths(network: WordNetwork, node: int, arcs: tuple[Arc, ...] = ()) -> Iterator[tuple]:
    if node in network.finals:
        yield arcs, network.finals[node]
    for arc in network.arcs:
        if arc.source == node:
            yield from paths(network, arc.target, (*arcs, arc))


def viterbi(log_probs: np.ndarray, words: Sequence[tuple[int, ...]], filler: float) -> float:
    """CTC Viterbi of one sentence; equal phonemes may touch across a word boundary only."""
    labels = [0]
    may_skip = [False]
    for word in words:
        for index, phoneme in enumerate(word):
            may_skip += [len(labels) > 1 and (index == 0 or word[index - 1] != phoneme), False]
            labels += [phoneme, 0]
    edge = np.maximum(log_probs[:, 0], log_probs.max(axis=1) - filler)
    scores = np.full(len(labels), -np.inf)
    scores[0] = 0.0
    for time, row in enumerate(log_probs):
        new = np.full(len(labels), -np.inf)
        for s, label in enumerate(labels):
            enter = [scores[s]]
            if s >= 1:
                enter.append(scores[s - 1])
            if s >= 2 and may_skip[s]:
                enter.append(scores[s - 2])
            new[s] = max(enter) + (edge[time] if s in (0, len(labels) - 1) else row[label])
        scores = new
    return max(scores[-2:]) if len(labels) > 1 else scores[0]


def reference(
    network: WordNetwork,
    lexicon: Lexicon,
    log_probs: np.ndarray,
    bonus: Mapping[SlotAssignment, float] | None = None,
    intent_bonus: Mapping[str, float] | None = None,
    filler: float = np.inf,
) -> list[Sentence]:
    """All sentences that fit into the rows, best first."""
    sentences = []
    for arcs, final in paths(network, network.start):
        spoken = [arc for arc in arcs if arc.word is not None]
        log_prob = max(
            viterbi(log_probs, variant, filler)
            for variant in itertools.product(*(lexicon[arc.word] for arc in spoken))
        )
        values = [key for key, _ in itertools.groupby(arc.assignment for arc in spoken) if key]
        score = log_prob + sum((bonus or {}).get(value, 0.0) for value in values)
        score += (intent_bonus or {}).get(final.intent, 0.0)
        slots = {**final.slots, **{value.slot: value.value for value in values}}
        if score > -np.inf:
            words = tuple(arc.word for arc in spoken)
            sentences.append(Sentence(words, final, slots, log_prob, score))
    return sorted(sentences, key=lambda sentence: -sentence.score)


# ── random networks ────────────────────────────────────────────────────────────────────────


@st.composite
def problems(draw: st.DrawFn) -> tuple[WordNetwork, Lexicon, np.random.Generator]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    nodes = int(rng.integers(2, 8))
    arcs = []
    for source in range(nodes - 1):
        for _ in range(rng.integers(1, 4)):
            target = int(rng.integers(source + 1, min(source + 4, nodes)))
            word = WORDS[rng.integers(len(WORDS))] if rng.random() < 0.75 else None
            tagged = word is not None and rng.random() < 0.5
            value = VALUES[rng.integers(len(VALUES))] if tagged else None
            arcs.append(Arc(source, target, word, value))
    finals = {nodes - 1: Final("on", {})}
    if rng.random() < 0.5:
        finals[int(rng.integers(nodes))] = Final("off", {"level": 7})
    network = WordNetwork(nodes, 0, finals, tuple(arcs))
    lexicon = {
        word: [
            tuple(int(p) for p in rng.integers(1, PHONEMES, rng.integers(1, 4)))
            for _ in range(1 + (rng.random() < 0.3))
        ]
        for word in WORDS
    }
    return network, lexicon, rng


def compiles(network: WordNetwork) -> bool:
    return any(arc.word for arcs, _ in paths(network, 0) for arc in arcs)


@settings(max_examples=150, deadline=None)
@given(problems())
def test_best_path_is_the_best_of_all_sentences(problem):
    network, lexicon, rng = problem
    if not compiles(network):
        with pytest.raises(ConfigError, match="no sentence"):
            PhonemeGraph.compile(network, lexicon)
        return
    graph = PhonemeGraph.compile(network, lexicon)
    log_probs = posteriors(rng, int(rng.integers(0, 9)))
    bonus = {value: float(rng.normal(0, 4)) for value in VALUES}
    intent_bonus = {"off": float(rng.normal(0, 4))}
    filler = float(rng.choice([np.inf, 0.5, 2.0]))
    expected = reference(network, lexicon, log_probs, bonus, intent_bonus, filler)
    found = graph.decode(
        log_probs, bonus, intent_bonus, filler_penalty=None if filler == np.inf else filler
    )
    assert bool(found) == bool(expected)
    if not found:
        return
    best = found[0]
    assert best.score == pytest.approx(expected[0].score, abs=1e-3)
    same = [
        s
        for s in expected
        if s.score > expected[0].score - 1e-3
        and s.words == tuple(word.word for word in best.words)
        and s.slots == best.slots
        and s.final.intent == best.intent
    ]
    assert same, "the sentence reported is not one of the best"
    assert any(best.log_prob == pytest.approx(s.log_prob, abs=1e-3) for s in same)
    # The phonemes are those of the words, and the words are said in order.
    variants = itertools.product(*(lexicon[word.word] for word in best.words))
    assert best.phonemes in {sum(variant, ()) for variant in variants}
    for word in best.words:
        assert 0 <= word.start_row < word.end_row <= len(log_probs)
    for before, after in itertools.pairwise(best.words):
        assert before.end_row <= after.start_row


@settings(max_examples=60, deadline=None)
@given(problems())
def test_each_reading_wanted_is_the_best_of_its_end(problem):
    network, lexicon, rng = problem
    if not compiles(network):
        return
    log_probs = posteriors(rng, 12)
    found = PhonemeGraph.compile(network, lexicon).decode(log_probs, best=5)
    expected = reference(network, lexicon, log_probs)
    best_of_intent: dict[str, float] = {}
    for sentence in expected:
        best_of_intent.setdefault(sentence.final.intent, sentence.score)
    scores = [path.score for path in found]
    assert scores == sorted(scores, reverse=True)
    assert {path.intent: path.score for path in reversed(found)} == pytest.approx(
        best_of_intent, abs=1e-3
    )
    readings = [(path.intent, tuple(sorted(path.slots.items()))) for path in found]
    assert len(readings) == len(set(readings))


@settings(max_examples=40, deadline=None)
@given(problems())
def test_any_split_of_the_rows_gives_the_same(problem):
    network, lexicon, rng = problem
    if not compiles(network):
        return
    graph = PhonemeGraph.compile(network, lexicon)
    log_probs = posteriors(rng, 15)
    options = {"bonus": {KITCHEN: 1.5}, "intent_bonus": {"on": 0.7}, "filler_penalty": 1.0}
    whole = graph.step(graph.initial_state(**options), log_probs)
    for cuts in ([], range(16), [2, 5, 10], [15]):
        state = graph.initial_state(**options)
        for rows in np.split(log_probs, list(cuts)):
            state = graph.step(state, rows)
        assert state.rows == 15
        assert graph.best_paths(state, best=3) == graph.decode(log_probs, **options, best=3)
        assert graph.best_paths(state, final=False) == graph.best_paths(whole, final=False)
        assert np.array_equal(np.concatenate(state.history), np.concatenate(whole.history))


# ── a small command set: "a [b] c" switches on, "a (d|e) c" sets an area ───────────────────

NETWORK = WordNetwork(
    nodes=6,
    start=0,
    finals={3: Final("switch", {"level": 1}), 5: Final("area", {})},
    arcs=(
        Arc(0, 1, "a"),
        Arc(0, 4, "a"),
        Arc(1, 2, "b"),
        Arc(1, 2, None),
        Arc(2, 3, "c"),
        Arc(4, 5, "d", KITCHEN),
        Arc(4, 5, "e", BEDROOM),
    ),
)
LEXICON = {"a": [(1, 2)], "b": [(3, 3)], "c": [(4,)], "d": [(5, 1)], "e": [(5, 2)]}


@pytest.fixture(scope="module")
def graph() -> PhonemeGraph:
    return PhonemeGraph.compile(NETWORK, LEXICON)


def test_words_carry_the_rows_in_which_they_were_said(graph):
    [path] = graph.decode(peaky([0, 1, 1, 2, 0, 3, 0, 3, 3, 0, 4, 0]))
    assert [(w.word, w.start_row, w.end_row) for w in path.words] == [
        ("a", 1, 4),
        ("b", 5, 9),
        ("c", 10, 11),
    ]
    assert path.phonemes == (1, 2, 3, 3, 4)
    assert (path.intent, path.slots) == ("switch", {"level": 1})
    assert path.log_prob == pytest.approx(12 * np.log(0.95), abs=1e-4)
    assert path.score == path.log_prob


def test_an_optional_word_may_be_left_out(graph):
    [path] = graph.decode(peaky([1, 2, 0, 4]))
    assert [word.word for word in path.words] == ["a", "c"]


def test_equal_phonemes_need_a_blank_within_a_word_only(graph):
    touching = peaky([1, 2, 3, 3, 3, 4])
    [path] = graph.decode(touching)
    assert path.log_prob < free_loop_score(touching) - 1.0  # "b" is 3 3: a row is not its own
    across = WordNetwork(3, 0, {2: Final("on", {})}, (Arc(0, 1, "a"), Arc(1, 2, "b")))
    rows = peaky([1, 3, 3])
    [path] = PhonemeGraph.compile(across, {"a": [(1, 3)], "b": [(3,)]}).decode(rows)
    assert path.log_prob == pytest.approx(free_loop_score(rows))


def test_pronunciations_weigh_the_same():
    network = WordNetwork(2, 0, {1: Final("on", {})}, (Arc(0, 1, "a"),))
    graph = PhonemeGraph.compile(network, {"a": [(1, 2), (1, 3)]})
    for last in (2, 3):
        [path] = graph.decode(peaky([1, last]))
        assert path.phonemes == (1, last)
        assert path.log_prob == pytest.approx(2 * np.log(0.95), abs=1e-5)


def test_a_value_bonus_decides_just_when_it_outweighs_the_posteriors(graph):
    log_probs = np.log(
        np.array([[0.01, 0.95, 0.01, 0.01, 0.01, 0.01], [0.01, 0.01, 0.95, 0.01, 0.01, 0.01]])
    )
    unsure = np.log(np.array([[0.04, 0.6, 0.2, 0.04, 0.06, 0.06]]))
    rows = np.concatenate([log_probs, peaky([5]), unsure]).astype(np.float32)
    margin = float(np.log(0.6 / 0.2))
    for bonus, area in ((margin - 0.01, "kitchen"), (margin + 0.01, "bedroom")):
        [path] = graph.decode(rows, bonus={BEDROOM: bonus})
        assert path.slots == {"area": area}
        added = bonus if area == "bedroom" else 0.0
        assert path.score - path.log_prob == pytest.approx(added, abs=1e-5)
    [path] = graph.decode(rows, bonus={KITCHEN: -np.inf})
    assert path.slots == {"area": "bedroom"}


def test_a_value_bonus_counts_once_for_all_words_of_the_value():
    # "[a] b c": the value may begin with either of its first two words.
    arcs = (
        Arc(0, 1, "a", KITCHEN),
        Arc(0, 1, None),
        Arc(1, 2, "b", KITCHEN),
        Arc(2, 3, "c", KITCHEN),
    )
    graph = PhonemeGraph.compile(WordNetwork(4, 0, {3: Final("on", {})}, arcs), LEXICON)
    for rows in (peaky([1, 2, 3, 0, 3, 4]), peaky([3, 0, 3, 4])):
        [path] = graph.decode(rows, bonus={KITCHEN: 2.0})
        assert path.score - path.log_prob == pytest.approx(2.0, abs=1e-5)
        assert path.log_prob == pytest.approx(free_loop_score(rows), abs=1e-5)


def test_an_intent_bonus_decides_at_the_end(graph):
    rows = peaky([1, 2, 4, 0])
    switch, area = graph.decode(rows, best=3)
    assert (switch.intent, area.intent) == ("switch", "area")
    difference = switch.score - area.score
    for bonus, intent in ((difference - 0.01, "switch"), (difference + 0.01, "area")):
        [path] = graph.decode(rows, intent_bonus={"area": bonus})
        assert path.intent == intent


def test_no_path_where_the_rows_are_too_few(graph):
    for rows in range(3):
        assert graph.decode(posteriors(np.random.default_rng(0), rows)) == []
    assert len(graph.decode(posteriors(np.random.default_rng(0), 3))) == 1


def test_the_filler_absorbs_what_is_said_around_the_command(graph):
    rows = peaky([3, 5, 4, 3, 0, 1, 2, 0, 4, 0, 5, 1])
    [strict] = graph.decode(rows)
    [path] = graph.decode(rows, filler_penalty=0.5)
    assert [(w.word, w.start_row, w.end_row) for w in path.words] == [("a", 5, 7), ("c", 8, 9)]
    # Four rows before and two after are not blank.
    assert path.log_prob == pytest.approx(free_loop_score(rows) - 6 * 0.5, abs=1e-4)
    assert strict.log_prob < path.log_prob


def test_the_filler_is_not_a_pause_within_the_sentence(graph):
    rows = peaky([1, 2, 5, 3, 5, 4])
    assert graph.decode(rows, filler_penalty=0.1)[0].log_prob < free_loop_score(rows) - 2.0


def test_a_partial_path_grows_with_the_words(graph):
    state = graph.initial_state()
    read = []
    for row in peaky([0, 1, 2, 0, 5, 1, 0]):
        state = graph.step(state, row[None])
        [path] = graph.best_paths(state, final=False)
        read.append(([word.word for word in path.words], path.slots, path.intent))
    assert read[0] == ([], {}, "")
    assert read[2][0] == ["a"]
    assert read[4] == (["a"], {}, "area")
    assert read[5] == (["a", "d"], {"area": "kitchen"}, "area")
    assert read[6] == read[5]
    # The partial path before the first row is empty, and so is the whole one.
    [nothing] = graph.best_paths(graph.initial_state(), final=False)
    assert nothing.words == ()
    assert graph.best_paths(graph.initial_state()) == []


def test_a_state_is_a_value(graph):
    early = graph.step(graph.initial_state(), peaky([1, 2, 0]))
    kitchen = graph.step(early, peaky([5, 1]))
    bedroom = graph.step(early, peaky([5, 2]))
    assert graph.best_paths(kitchen)[0].slots == {"area": "kitchen"}
    assert graph.best_paths(bedroom)[0].slots == {"area": "bedroom"}
    assert early.rows == 3


def test_errors_say_what_is_missing(graph):
    for ways in ([], [()], [(2, 0)]):
        with pytest.raises(ConfigError, match="'d'"):
            PhonemeGraph.compile(NETWORK, {**LEXICON, "d": ways})
    with pytest.raises(ConfigError, match="'e'"):
        PhonemeGraph.compile(NETWORK, {w: p for w, p in LEXICON.items() if w != "e"})
    with pytest.raises(BundleError, match="6 columns"):
        graph.decode(peaky([1, 2])[:, :5])
    damaged = peaky([1, 2, 4])
    damaged[1, 3] = np.nan
    with pytest.raises(BundleError, match="not finite"):
        graph.decode(damaged)


def test_the_free_loop():
    rows = peaky([0, 3, 3, 0, 3, 2, 2, 0])
    assert greedy(rows) == [3, 3, 2]
    assert free_loop_score(rows) == pytest.approx(8 * np.log(0.95), abs=1e-5)
    assert greedy(rows[:0]) == []
    assert free_loop_score(rows[:0]) == 0.0


# ── agreement: nothing that may follow changes the reading ─────────────────────────────────

# "b [c] d", and after that "e" or "f a"; "b" is the beginning of "bc", too.
LIGHT = WordNetwork(
    nodes=6,
    start=0,
    finals={2: Final("light", {}), 5: Final("light", {})},
    arcs=(
        Arc(0, 1, "b"),
        Arc(1, 2, "c"),
        Arc(2, 3, "d"),
        Arc(3, 5, "e", KITCHEN),
        Arc(2, 4, "f"),
        Arc(4, 5, "a"),
    ),
)
LIGHT_LEXICON = {"a": [(1,)], "b": [(2,)], "c": [(3,)], "d": [(4,)], "e": [(5,)], "f": [(1,)]}


def settled(network: WordNetwork, lexicon: Lexicon, ids: Sequence[int], margin: float = 5.0):
    """Whether the reading is settled after these phonemes and a pause; its slots if it is."""
    graph = PhonemeGraph.compile(network, lexicon)
    state = graph.step(graph.initial_state(filler_penalty=3.0), peaky([*ids, 0, 0, 0], 0.999))
    path = Agreement.of(graph).path(state, margin)
    return None if path is None else dict(path.slots)


def test_a_sentence_that_may_get_another_slot_is_not_settled():
    assert settled(LIGHT, LIGHT_LEXICON, [2, 3]) is None
    assert settled(LIGHT, LIGHT_LEXICON, [2, 3, 4]) is None  # in the middle of one
    assert settled(LIGHT, LIGHT_LEXICON, [2, 3, 4, 5]) == {"area": "kitchen"}


def test_a_sentence_that_may_get_words_without_meaning_is_settled():
    please = [arc for arc in LIGHT.arcs if arc.assignment is None and arc.word != "d"]
    network = WordNetwork(6, 0, LIGHT.finals, tuple(please))
    assert settled(network, LIGHT_LEXICON, [2, 3]) == {}
    assert settled(network, LIGHT_LEXICON, [2]) is None


def test_a_pause_excludes_that_the_word_goes_on_but_not_that_a_word_follows():
    six, sixteen = SlotAssignment("level", 6), SlotAssignment("level", 16)
    arcs = (Arc(0, 1, "a", six), Arc(0, 1, "b", sixteen))
    network = WordNetwork(2, 0, {1: Final("set", {})}, arcs)
    # The filler could swallow a single phoneme for 3 nats.
    assert settled(network, {"a": [(1,)], "b": [(1, 2)]}, [1], margin=2.0) == {"level": 6}
    arcs = (Arc(0, 2, "a", six), Arc(0, 1, "a", sixteen), Arc(1, 2, "b", sixteen))
    network = WordNetwork(3, 0, {2: Final("set", {})}, arcs)
    assert settled(network, {"a": [(1,)], "b": [(2,)]}, [1], margin=2.0) is None
    assert settled(network, {"a": [(1,)], "b": [(2,)]}, [1, 2]) == {"level": 16}


def test_readings_within_the_margin_hold_back():
    network = WordNetwork(
        2,
        0,
        {1: Final("on", {})},
        tuple(Arc(0, 1, word, value) for word, value in (("a", KITCHEN), ("b", BEDROOM))),
    )
    # Both end in one junction, but 2 may still go on while the rows say 1 or 2.
    graph = PhonemeGraph.compile(network, {"a": [(1,)], "b": [(2,)]})
    agreement = Agreement.of(graph)
    row = np.log(np.array([[0.02, 0.6, 0.32, 0.02, 0.02, 0.02]], np.float32))
    state = graph.step(graph.initial_state(), row)
    behind = float(np.log(0.6 / 0.32))
    assert agreement.path(state, behind - 0.01).slots == {"area": "kitchen"}
    assert agreement.path(state, behind + 0.01) is None
    assert agreement.path(graph.initial_state(), 1.0) is None


def test_intents_must_agree_too(graph):
    agreement = Agreement.of(graph)
    spoken = graph.step(graph.initial_state(), peaky([1, 2, 0, 4, 0]))
    assert agreement.path(spoken, 1.0).intent == "switch"
    assert agreement.path(spoken, np.inf) is None


@settings(max_examples=300, deadline=None)
@given(problems(), st.booleans())
def test_what_is_settled_stays_whatever_follows(problem, quiet):
    """The filler bounds what can be lost in n rows, so that a margin is a guarantee for them.

    Words of one phoneme, because that a word goes on after a pause is excluded by definition.
    """
    network, _, rng = problem
    lexicon = {word: [(1 + index % (PHONEMES - 1),)] for index, word in enumerate(WORDS)}
    if not compiles(network):
        return
    graph = PhonemeGraph.compile(network, lexicon)
    sentences = list(paths(network, 0))
    arcs, _ = sentences[int(rng.integers(len(sentences)))]
    spoken = [phoneme for arc in arcs if arc.word for phoneme in (*lexicon[arc.word][0], 0)]
    heard = peaky([*spoken, *([0] * 4 if quiet else [])] or [0], 0.999)
    filler, more = 0.5, 4
    state = graph.step(graph.initial_state(filler_penalty=filler), heard)
    path = Agreement.of(graph).path(state, filler * more + 1e-3)
    if path is None:
        return
    rows = np.concatenate([heard, posteriors(rng, more, 6.0)])
    expected = reference(network, lexicon, rows, filler=filler)
    same = [s for s in expected if (s.final.intent, s.slots) == (path.intent, path.slots)]
    assert same[0].score > expected[0].score - 1e-3


# ── the n best readings ────────────────────────────────────────────────────────────────────


@settings(max_examples=80, deadline=None)
@given(problems())
def test_the_n_best_readings_are_those_of_all_sentences(problem):
    network, lexicon, rng = problem
    assume(compiles(network))
    log_probs = posteriors(rng, 12)
    bonus = {value: float(rng.normal(0, 4)) for value in VALUES}
    expected: dict[tuple, float] = {}
    for sentence in reference(network, lexicon, log_probs, bonus, {"off": 1.5}, 2.0):
        reading = (sentence.final.intent, tuple(sorted(sentence.slots.items())))
        expected.setdefault(reading, sentence.score)
    assume(not any(sets_a_slot_twice(arcs) for arcs, _ in paths(network, 0)))
    found = best_readings(
        PhonemeGraph.compile(network, lexicon), log_probs, bonus, {"off": 1.5}, 9, 2.0
    )
    scores = {(path.intent, tuple(sorted(path.slots.items()))): path.score for path in found}
    assert len(scores) == len(found) == min(9, len(expected))
    assert scores == pytest.approx({reading: expected[reading] for reading in scores}, abs=2e-2)
    assert list(scores.values()) == pytest.approx(list(expected.values())[:9], abs=2e-2)


def sets_a_slot_twice(arcs: Sequence[Arc]) -> bool:
    said = [key.slot for key, _ in itertools.groupby(a.assignment for a in arcs if a.word) if key]
    return len(said) != len(set(said))


def test_the_next_best_reading_has_another_value_or_a_slot_more(graph):
    rows = peaky([1, 2, 0, 5, 2])
    readings = best_readings(graph, rows)
    assert [(r.intent, r.slots) for r in readings] == [
        ("area", {"area": "bedroom"}),
        ("area", {"area": "kitchen"}),
        ("switch", {"level": 1}),
    ]
    assert readings[0] == graph.decode(rows)[0]


def test_every_phoneme_of_a_path_has_its_rows(graph):
    [path] = graph.decode(peaky([0, 1, 1, 2, 0, 3, 0, 3, 3, 0, 4, 0]))
    assert path.spans == ((1, 3), (3, 4), (5, 6), (7, 9), (10, 11))
    [path] = graph.decode(peaky([1, 2, 5, 1]))
    assert path.said == (KITCHEN,)
