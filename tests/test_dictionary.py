"""Dictionaries: read as published, respelled in espeak-ng's phonemes, used for commands."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from script_support import script_runner

from assistant.bundle import Inventory
from assistant.bundle_files import DICTIONARIES, WAYS_HEARD
from assistant.cli import main
from assistant.errors import BundleError, ConfigError, UsageError
from assistant.grammar.commands import load_commands
from assistant.grammar.dictionary import read_dictionary
from assistant.grammar.phonemes import Phonemizer
from assistant.training.pronouncing import pronounce, spoken_ways
from assistant.training.respelling import PASSES, Correspondence
from assistant.training.ways_heard import WaysHeard

CMUDICT = """;;; a comment
almond AA1 M AH0 N D
tomato T AH0 M EY1 T OW2
tomato(2) T AH0 M AA1 T OW2
d'artagnan D AH0 R T AE1 NG Y AH0 N # foreign french
!exclamation-point EH2 K S
a.m. EY2 EH1 M
3d TH R IY1 D IY1
"""


@pytest.fixture
def written(tmp_path: Path):
    def write(text: str, name: str = "words.dict") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


# ── reading ────────────────────────────────────────────────────────────────────────────────


def test_numbered_ways_are_of_one_word_and_what_is_no_word_is_left_out(written):
    found = read_dictionary(written(CMUDICT))
    assert list(found) == ["almond", "tomato", "d'artagnan"]
    assert found["tomato"] == (
        ("T", "AH0", "M", "EY1", "T", "OW2"),
        ("T", "AH0", "M", "AA1", "T", "OW2"),
    )
    assert found["d'artagnan"] == (("D", "AH0", "R", "T", "AE1", "NG", "Y", "AH0", "N"),)


def test_repeated_words_are_ways_of_one_in_any_alphabet_and_case(written):
    path = written("Café\tk a f ɛ\ncafe\u0301\tk a f ɛ\ncafé\tk ɐ f ɛ\nМир\tmʲ i r\nकी\tk iː\n")
    assert read_dictionary(path) == {
        "café": (("k", "a", "f", "ɛ"), ("k", "ɐ", "f", "ɛ")),
        "мир": (("mʲ", "i", "r"),),
        "की": (("k", "iː"),),
    }
    assert list(read_dictionary(path, {"мир"})) == ["мир"]


def test_damaged_dictionaries_are_a_line(written, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"words.dict:2: 'tea' has no phonemes"):
        read_dictionary(written("cup k ʌ p\ntea\n"))
    with pytest.raises(ConfigError, match="cannot be read as a dictionary"):
        read_dictionary(tmp_path / "none.dict")
    (tmp_path / "latin.dict").write_bytes(b"caf\xe9 k a f e\n")
    with pytest.raises(ConfigError, match="cannot be read as a dictionary"):
        read_dictionary(tmp_path / "latin.dict")


# ── respelling ─────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def correspondence() -> Correspondence:
    """Of a dictionary in capitals that writes X for "ks" and does not tell a and ə apart."""
    rng = random.Random(0)
    known = Correspondence()
    pairs = []
    for _ in range(400):
        ours = tuple(rng.choice(["p", "t", "k", "f", "s", "ks", "a", "ə", "i"]) for _ in range(5))
        theirs = tuple({"ks": "X", "ə": "A"}.get(p, p.upper()) for p in ours)
        pairs.append((theirs, tuple(" ".join(ours).replace("ks", "k s").split())))
    for _ in range(PASSES):
        known.learn(pairs)
    return known


def respelled(known: Correspondence, theirs: str, ours: str) -> str:
    return " ".join(known.respelled(theirs.split(), ours.split()))


@pytest.mark.parametrize(("theirs", "ours"), [("P A T A", "p ə t a"), ("T I X A", "t i k s ə")])
def test_where_both_say_the_same_espeaks_phonemes_are_kept(
    correspondence: Correspondence, theirs: str, ours: str
):
    assert respelled(correspondence, theirs, ours) == ours


@pytest.mark.parametrize(
    ("theirs", "ours", "expected"),
    [
        ("P A T I", "p ə t ə", "p ə t i"),
        ("P A X", "p ə t", "p ə k s"),
        ("A T I", "ə l t i", "ə t i"),  # as in "almond"
        ("F A T I", "f ə i", "f ə t i"),
    ],
)
def test_what_the_dictionary_says_otherwise_is_written_as_it_usually_is(
    correspondence: Correspondence, theirs: str, ours: str, expected: str
):
    assert respelled(correspondence, theirs, ours) == expected


def test_units_are_both_in_order(correspondence: Correspondence):
    units = correspondence.aligned(("P", "A", "X", "I"), ("p", "a", "k", "s", "i"))
    assert [" ".join(symbols) for symbols, _ in units] == ["P", "A", "X", "I"]
    assert [" ".join(phonemes) for _, phonemes in units] == ["p", "a", "k s", "i"]
    assert correspondence.aligned((), ()) == []


# ── the script ─────────────────────────────────────────────────────────────────────────────


def test_the_script_writes_what_espeak_does_not_say(written, tmp_path: Path, monkeypatch, capsys):
    english = Phonemizer("en-us")
    words = {f"{a}{b}{c}" for a in "bdfgklmnprstvz" for b in "aeiou" for c in "bdgklmnpstxz"}
    lines = [f"{w} {' '.join(p.upper() for p in english.phonemes(w))}" for w in sorted(words)]
    lines += [f"{w}ing {' '.join(p.upper() for p in english.phonemes(w + 'ing'))}" for w in words]
    lines += ["almond Ɑː M Ə N D"]
    output = tmp_path / "shelf" / DICTIONARIES / "en-us.tsv"
    dictionary = written("\n".join(lines) + "\n")
    run = script_runner("import_pronunciations", monkeypatch)
    run(dictionary, "--language", "en-us", "--output", output)
    assert read_dictionary(output) == {"almond": (("ɑː", "m", "ə", "n", "d"),)}
    assert "1 ways to say 1 of" in capsys.readouterr().out
    run(dictionary, "--language", "en-us", "--output", tmp_path / "again.tsv")
    assert (tmp_path / "again.tsv").read_bytes() == output.read_bytes()

    with pytest.raises(UsageError, match="has 3 words; it takes 1000"):
        run(written(CMUDICT), "--language", "en-us", "--output", output)


# ── what commands make of it ───────────────────────────────────────────────────────────────


def test_commands_are_compiled_with_the_dictionary_beside_their_bundle(written, tmp_path: Path):
    phonemes = ("", "ɔ", "l", "m", "ə", "n", "d", "ɑː", "ɪ", "h", "oʊ", "s", "iː", "aɪ")
    inventory = Inventory(tmp_path / "shelf" / "mine", "en-us", phonemes)
    source = written(
        "language: en\nintents: {milk: {data: [{sentences: ['almond', 'home', 'sea', 'mild']}]}}\n"
        "pronunciations: {home: /h oʊ m/}\n",
        "commands.yaml",
    )

    def ways(word: str) -> list[str]:
        lexicon = pronounce(load_commands([source]), inventory)
        return [" ".join(phonemes[i] for i in way) for way in lexicon[word]]

    assert ways("almond") == ["ɔ l m ə n d"]
    written(
        "almond\tɑː m ə n d\nalmond\ts iː\nhome\th ɪ m\nmild\tm aɪ l\nmild\tm ɪ l d\nunused\tx\n",
        f"shelf/{DICTIONARIES}/en-us.tsv",
    )
    assert ways("almond") == ["ɔ l m ə n d", "ɑː m ə n d"]  # "s iː" is another word's
    assert ways("home") == ["h oʊ m"]  # the user's own stand alone
    assert ways("mild") == ["m aɪ l d", "m ɪ l d"]  # not "m aɪ l", which is too short to be told


def test_ways_that_the_bundle_hardly_hears_are_left_out(written, tmp_path: Path):
    folder = tmp_path / "shelf" / "mine"
    inventory = Inventory(folder, "en-us", ("", *"ɔlməndʌɡɪ", "ɑː", "ɛ", "t"))
    written(
        "almond\tɑː m ə n d\nalmond\tʌ l m ə n d\nget\tɡ ɪ t\n",
        f"shelf/{DICTIONARIES}/en-us.tsv",
    )
    words = ["almond", "get"]

    def shares() -> dict[str, list[float]]:
        found = spoken_ways(words, inventory)
        return {word: [round(way.share, 3) for way in ways] for word, ways in found.items()}

    assert shares() == {"almond": [0.333, 0.333, 0.333], "get": [0.5, 0.5]}
    folder.mkdir()
    heard = WaysHeard(0.0, -1.0, {"ɔ l>ɑː": 1.0986, "ɔ>ʌ": 0.0}, {"get": 15})
    heard.write(folder / WAYS_HEARD)
    assert shares() == {"almond": [0.2, 0.6, 0.2], "get": [1.0]}
    (folder / WAYS_HEARD).write_text('{"bias": 1}')
    with pytest.raises(
        BundleError, match=r"ways_heard\.json is damaged: .*; fetch the bundle again"
    ):
        shares()


def test_pronounce_shows_every_way_and_whose_it_is(
    written, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pronounce", "Almond", "--json"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert shown == [
        {"word": "almond", "phonemes": "ɔ l m ə n d", "source": "espeak-ng", "share": 0.67},
        {"word": "almond", "phonemes": "ɑː m ə n d", "source": "dictionary", "share": 0.33},
    ]
    source = written(
        "language: en\nintents: {milk: {data: [{sentences: ['almond milk']}]}}\n"
        "pronunciations: {almond: [/æ m ə n d/, amend]}\n",
        "commands.yaml",
    )
    assert main(["pronounce", "--file", str(source)]) == 0
    lines = [line.split("  ") for line in capsys.readouterr().out.splitlines()]
    assert [[cell.strip() for cell in line if cell.strip()] for line in lines] == [
        ["almond", "æ m ə n d", "yours", "50%"],
        ["ɐ m ɛ n d", "yours", "50%"],
        ["milk", "m ɪ l k", "espeak-ng"],
    ]


def test_pronounce_leaves_out_what_is_another_word_of_the_commands(
    written, capsys: pytest.CaptureFixture[str]
) -> None:
    def ways(*arguments: str) -> list[str]:
        assert main(["pronounce", "route", "--json", *arguments]) == 0
        return [json.loads(line)["phonemes"] for line in capsys.readouterr().out.splitlines()]

    assert ways() == ["ɹ aʊ t", "ɹ uː t"]
    both = "language: en\nintents: {i: {data: [{sentences: [route, root]}]}}\n"
    assert ways("--file", str(written(both, "c.yaml"))) == ["ɹ aʊ t"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "say which words"),
        (["…"], "has no letters"),
        (["luz", "--file", "{source}", "--bundle", "pt-br"], "choose a bundle of that language"),
    ],
)
def test_pronounce_says_what_it_wants(
    written, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    source = written("language: en\nintents: {i: {data: [{sentences: ['light']}]}}\n", "c.yaml")
    assert main(["pronounce", *(a.format(source=source) for a in arguments)]) == 2
    assert said in capsys.readouterr().err
