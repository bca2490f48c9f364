"""How often a bundle hears what a dictionary says: compared, learnt, by the script."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import numpy as np
import pytest
import tiny_bundle
import torch
from script_support import script_runner

from assistant.bundle import Inventory, read_inventory
from assistant.bundle_files import WAYS_HEARD
from assistant.errors import UsageError
from assistant.training.logistic import logistic_regression
from assistant.training.pronouncing import dictionary_of
from assistant.training.ways_heard import (
    Listener,
    Occurrence,
    WaysHeard,
    changes,
    cross_validated,
    learn,
    sentence_scores,
    times_met,
)

PHONEMES = ("", *"lmndhkt", "ɔ", "ə", "ɑː", "ɪ", "æ", "ɐ", "ʌ", "oʊ")
INVENTORY = Inventory(Path("nowhere"), "en-us", PHONEMES)


def posteriors(said: str, miss: float = 0.05) -> torch.Tensor:
    """(T, P) log-posteriors of phonemes said clearly, a blank between any two."""
    columns = [c for p in said.split() for c in (PHONEMES.index(p), 0)]
    rows = torch.full((len(columns), len(PHONEMES)), miss / (len(PHONEMES) - 1))
    rows[range(len(columns)), columns] = 1 - miss
    return rows.log()


@pytest.mark.parametrize(
    ("usual", "way", "expected"),
    [
        ("ɔ l m ə n d", "ɑː m ə n d", ("ɔ l>ɑː",)),
        ("ɡ ɛ t", "ɡ ɪ t", ("ɛ>ɪ",)),
        ("d oʊ n t", "d oʊ n", ("t>",)),
        ("æ θ l iː t", "æ θ ə l iː t s", (">ə", ">s")),
        ("t ɛ n", "t ɛ n", ()),
    ],
)
def test_changes_are_what_a_way_says_otherwise(usual: str, way: str, expected: tuple[str, ...]):
    assert changes(tuple(usual.split()), tuple(way.split())) == expected


def test_texts_are_counted_by_word_and_what_cannot_be_spoken_is_left_out():
    texts = ["Almond milk, ALMOND!", "the 2nd almond", "milk of 3 almonds"]
    assert times_met(texts, "en", {"almond", "three", "cup"}) == {"almond": 2, "three": 1}


# ── listening ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("said", "likelier"), [("ɑː m ə n d", True), ("ɔ l m ə n d", False)])
def test_the_way_that_was_said_explains_the_sentence_better(said: str, likelier: bool):
    listener = Listener(INVENTORY, {"almond": (("ɑː", "m", "ə", "n", "d"),)})
    heard = list(listener.occurrences("An almond, Anna", posteriors(f"ɐ n {said} æ n ə")))
    assert [(one.word, one.usual, one.way) for one in heard] == [
        ("almond", tuple("ɔlmənd"), ("ɑː", "m", "ə", "n", "d"))
    ]
    assert (heard[0].gain > 2) == likelier


def test_nothing_is_said_of_what_does_not_fit_or_has_no_further_way():
    listener = Listener(INVENTORY, {"almond": (("ɑː", "m", "ə", "n", "d"),)})
    assert list(listener.occurrences("an almond", posteriors("ɐ n")[:2])) == []
    assert list(listener.occurrences("milk", posteriors("m ɪ l k"))) == []
    assert list(listener.occurrences("", posteriors("m"))) == []


def test_scores_are_likelihoods_over_all_alignments():
    rows = torch.log_softmax(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)), dim=1)
    p = rows.exp().double().numpy()
    one = sum(
        math.prod(p[t, c] for t, c in enumerate(path))
        for path in np.ndindex(3, 3, 3)
        if [c for i, c in enumerate(path) if c and (i == 0 or path[i - 1] != c)] == [1]
    )
    assert sentence_scores(rows, [[1], [2, 2, 2]]) == pytest.approx([math.log(one), -math.inf])


# ── learning ───────────────────────────────────────────────────────────────────────────────


def occurrences(count: int, seed: int = 0) -> tuple[list[Occurrence], dict[str, int]]:
    """People say "a" for "o" in every second rare word, "x" for "y" never, and are clearly heard;
    words that were met a thousand times are heard as usual."""
    rng = random.Random(seed)
    heard, met = [], {}
    for number in range(count):
        word = f"word{number}"
        met[word] = rng.choice([0, 0, 1000])
        old, new = rng.choice([("o", "a"), ("y", "x")])
        said = old == "o" and not met[word] and rng.random() < 0.5
        usual, way = (("k", old, "t"), ("k", new, "t"))
        heard.append(Occurrence(word, usual, way, 20.0 if said else -20.0))
    return heard, met


def test_rare_words_and_changes_that_are_heard_are_learnt(tmp_path: Path):
    heard, met = occurrences(900)
    learn(heard, met).write(tmp_path / WAYS_HEARD)
    known = WaysHeard.read(tmp_path / WAYS_HEARD)
    a, x = (("k", "o", "t"), ("k", "a", "t")), (("k", "y", "t"), ("k", "x", "t"))
    assert known.odds("new", *a) == pytest.approx(1.0, abs=0.4)
    assert known.odds("new", *x) < 0.1
    common = next(word for word, times in met.items() if times)
    assert known.odds(common, *a) < 0.05
    again = WaysHeard.read(tmp_path / WAYS_HEARD)
    again.write(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / WAYS_HEARD).read_bytes()


def test_what_was_learnt_tells_other_words_better_than_one_share_for_all():
    constant, known = cross_validated(*occurrences(600))
    assert known < 0.7 * constant
    noise = [
        Occurrence(f"w{n}", ("a",), ("b",), random.Random(n).choice([-20.0, 20.0]))
        for n in range(400)
    ]
    constant, known = cross_validated(noise, {})
    assert known == pytest.approx(constant, abs=0.02)


def test_a_regression_finds_the_coefficients_that_made_the_data():
    rng = np.random.default_rng(0)
    columns = np.column_stack([rng.normal(size=(20_000, 2)), np.ones(20_000)])
    wanted = np.array([1.5, -0.5, 0.3])
    right = (rng.random(20_000) < 1 / (1 + np.exp(-columns @ wanted))).astype(float)
    little = np.full(3, 1e-6)
    assert logistic_regression(columns, right, little) == pytest.approx(wanted, abs=0.08)
    twice = np.concatenate([columns, columns]), np.concatenate([right, 1 - right])
    weights = np.repeat([1.0, 0.0], 20_000)
    assert logistic_regression(*twice, little, weights) == pytest.approx(wanted, abs=0.08)


# ── the script ─────────────────────────────────────────────────────────────────────────────


def test_the_script_listens_to_held_out_people_and_writes_what_it_learnt(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    bundle = tiny_bundle.build(tmp_path)
    (bundle / "held_out_speakers.txt").write_text("someone\n", encoding="utf-8")
    recording = data / "recordings/home/word_yes.flac"
    text = {"someone": "turn on the light", "else": "light light", "am_puck": "light"}
    lines = [
        {"path": str(recording), "text": said, "speaker": speaker, "corpus": corpus}
        for speaker, said in text.items()
        for corpus in ("one", "other")
    ]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    run = script_runner("listen_for_ways", monkeypatch)
    fixed = ("--bundle", bundle, "--manifest", manifest, "--except", "other")
    with pytest.raises(UsageError, match=r"no dictionary; scripts/import_pronunciations\.py makes"):
        run(*fixed)

    path = dictionary_of(read_inventory(bundle))
    path.parent.mkdir()
    path.write_text("light\tl aɪ\nlight\tl ɪ t\n", encoding="utf-8")
    with pytest.raises(UsageError, match="2 times a word was said that has a further way, by peop"):
        run(*fixed)
    monkeypatch.setattr("listen_for_ways_script.FEWEST_OCCURRENCES", 2)
    run(*fixed)
    assert "from 2 ways of 1 words" in capsys.readouterr().out
    known = json.loads((bundle / WAYS_HEARD).read_text(encoding="utf-8"))
    assert known["times_met"] == {"light": 2}  # not by who is held out, nor by voices for tests
    assert {"t>", "aɪ>ɪ"} >= set(known["changes"])
