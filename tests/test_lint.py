"""Lint finds what will be misunderstood, and its predictions follow the model's confusions."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny_bundle import BANKED, build, write_bank

from assistant.bundle import Inventory
from assistant.cli import main
from assistant.errors import ConfigError
from assistant.grammar.automaton import Automaton
from assistant.grammar.commands import CommandSet, load_commands
from assistant.grammar.confusion import Confusions, confusion_rate
from assistant.grammar.finding import Finding, Gravity
from assistant.grammar.overlap import is_covered, shared_sentence
from assistant.grammar.phonemes import Phonemizer
from assistant.grammar.sampling import sample_sentence
from assistant.training.competitors import Competitors
from assistant.training.confusions import Changed, estimate_confusions
from assistant.training.lint_sentences import find_overlaps, find_short
from assistant.training.lint_sounds import find_alike, find_unpronounceable
from assistant.training.posterior_bank import TOP, PosteriorBank
from assistant.training.pronouncing import pronounce, warn_of_unused

SYMBOLS = "aɪ ɪ iː ɛ æ ɑː ɔː oʊ uː ə ɚ ɐ ʌ ɔ b d f h k l m n p s t v w z ð ɹ ɡ ŋ"
PHONEMES = ("", *SYMBOLS.split())
INVENTORY = Inventory(Path("models/test"), "en-us", PHONEMES)
EVEN = Confusions((3.0 - 3.0 * np.eye(len(PHONEMES))).astype(np.float32))

Load = Callable[[str], CommandSet]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def write_and_load(text: str) -> CommandSet:
        path = tmp_path / "mine.yaml"
        path.write_text(text, encoding="utf-8")
        return load_commands([path])

    return write_and_load


def intents(**sentences: str) -> str:
    bodies = (f"  {name}: {{data: [{{sentences: [{said}]}}]}}" for name, said in sentences.items())
    return "\n".join(["language: en", "intents:", *bodies, ""])


def kinds(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(f.kind, f.where.rpartition(":")[2]) for f in findings]


# ── distance ───────────────────────────────────────────────────────────────────────────────


def test_distance_is_the_cheapest_way_to_edit() -> None:
    costs = np.array([[0, 4, 5], [2, 0, 1], [3, 7, 0]], np.float32)
    confusions = Confusions(costs)
    assert confusions.distance((1, 2), (1, 2)) == 0
    assert confusions.distance((1,), (2,)) == 1
    assert confusions.distance((2,), (1,)) == 7  # dropping 2 and adding 1 costs 7 too
    assert confusions.distance((1, 2), (2,)) == 2
    assert confusions.distance((), (1, 2)) == 9
    assert list(confusions.distances((1, 2), [(), (2,), (1, 2, 1)])) == [5, 2, 4]
    assert confusion_rate(0.0) == 0.5


def test_changed_phonemes_score_as_their_best_path_does() -> None:
    """All paths of five rows, for phonemes beside and between equal ones too."""
    rows, columns = 5, 4
    rng = np.random.default_rng(0)
    paths = np.array(list(itertools.product(range(columns), repeat=rows)))
    said = [tuple(p for p, _ in itertools.groupby(path) if p) for path in paths.tolist()]

    def best(log_probs: np.ndarray, phonemes: list[int]) -> float:
        scores = log_probs[np.arange(rows), paths].sum(axis=1)
        return max(
            (s for s, p in zip(scores, said, strict=True) if p == tuple(phonemes)), default=-np.inf
        )

    for phonemes in ([1, 2, 1], [3, 3], [2], [1, 2, 3], [1, 1, 2]):
        log_probs = np.log(rng.dirichlet(np.full(columns, 0.5), rows) + 1e-4).astype(np.float32)
        changed = Changed.of(log_probs, np.array(phonemes))
        assert changed is not None
        right = best(log_probs, phonemes)
        for place, other in np.ndindex(changed.replaced.shape):
            before, after = phonemes[:place], phonemes[place + 1 :]
            put = [other] if other else []
            for found, wanted in (
                (changed.replaced, [*before, *put, *after]),
                (changed.added, [*before, phonemes[place], *put, *after]),
            ):
                better = best(log_probs, wanted) - right
                assert found[place, other] == pytest.approx(np.exp(min(better, 0) / 2), abs=1e-3)


def test_the_confusions_of_a_bank_are_those_its_posteriors_show() -> None:
    rng = np.random.default_rng(0)
    columns, count = 12, 400
    phonemes = rng.integers(1, 6, count)
    # A row of each phoneme and one of blank; beside them columns that are never meant.
    labels = np.tile(np.arange(6, columns), (2 * count, 2))[:, :TOP].astype(np.uint8)
    labels[::2, 0], labels[1::2, 0] = phonemes, 0
    costs = np.full(labels.shape, 200, np.uint8)
    costs[:, 0] = 2
    # Where 1 is said, 2 is nearly as likely; nothing else is ever confused.
    ones = 2 * np.flatnonzero(phonemes == 1)
    labels[ones, 1], costs[ones, 1] = 2, 14
    bank = PosteriorBank(
        columns,
        labels,
        costs,
        phonemes,
        2 * np.arange(count + 1),
        np.arange(count) // 20,
        np.zeros(count, np.bool_),
    )
    estimated = estimate_confusions(bank).costs
    assert estimated[1].argsort()[1] == 2
    assert estimated[1, 2] < 0.6
    assert estimated[2, 1] > 1.5
    assert (np.diag(estimated) == 0).all()
    assert np.isfinite(estimated).all()


# ── sentences ──────────────────────────────────────────────────────────────────────────────


def test_a_sentence_of_two_meanings_is_an_error(load: Load) -> None:
    commands = load(intents(stop="'[please] stop it'", pause="'stop (it|that)'"))
    (finding,) = find_overlaps(commands)
    assert finding.gravity is Gravity.ERROR
    assert finding.where.endswith("mine.yaml:4")
    assert finding.message.startswith("'stop it' means pause() here and stop() at")


def test_two_values_for_the_same_words_are_ambiguous(load: Load) -> None:
    text = "{data: [{sentences: ['go [to] {a} [to] {b}']}]}"
    lists = "lists: {a: {values: [x, x x]}, b: {values: [y, x y]}}"
    commands = load(f"language: en\nintents:\n  i: {text}\n{lists}\n")
    assert kinds(list(find_overlaps(commands))) == [("ambiguous", "3")]


def test_repeated_and_needless_sentences_are_warnings(load: Load) -> None:
    commands = load(intents(i="'(open|close) it', 'close (it|that)', 'open that', 'open it now'"))
    assert kinds(list(find_overlaps(commands))) == [("duplicate", "3")]
    commands = load(intents(i="'(open|close) (it|that)', 'open that'"))
    assert kinds(list(find_overlaps(commands))) == [("covered", "3")]


def test_covering_takes_all_others_together(load: Load) -> None:
    commands = load(intents(i="'(a|b) c', 'a c', 'b c', '[a] d'"))
    both, a, b, other = (Automaton(template.network) for template in commands.templates)
    assert is_covered(both, [a, b])
    assert not is_covered(both, [a])
    assert shared_sentence(both, other) is None


def test_phrases_of_few_phonemes_are_named(load: Load) -> None:
    commands = load(intents(i="'on [please]', 'open the window'"))
    (finding,) = find_short(commands, pronounce(commands, INVENTORY))
    assert "'on' (2)" in finding.message


# ── sounds ─────────────────────────────────────────────────────────────────────────────────


def test_values_that_sound_the_same_are_errors_and_near_ones_warnings(load: Load) -> None:
    lists = "lists: {what: {values: [sea, see, bed, bad, window]}}"
    commands = load(intents(i="'show {what}'") + lists)
    found = list(find_alike(commands, pronounce(commands, INVENTORY), EVEN))
    assert [(f.gravity.name, f.message.split(" sound ")[0].split(" (")[0]) for f in found] == [
        ("ERROR", "'sea' and 'see'"),
        ("WARNING", "'bed' and 'bad'"),
    ]
    assert found[0].rate == pytest.approx(0.5)
    assert found[1].rate == pytest.approx(0.5 * np.exp(-3))


def test_unknown_phonemes_and_needless_pronunciations_are_found(load: Load) -> None:
    own = "pronunciations: {lamp: /l æ q/, tree: bush}\n"
    commands = load(intents(i="'the lamp', 'a judge', 'and μ'") + own)
    found = {f.kind + f.gravity.name: f.message for f in find_unpronounceable(commands, INVENTORY)}
    assert "no sentence says 'tree'" in found["unusedWARNING"]
    assert "'q' in the pronunciation of 'lamp'" in found["pronunciationERROR"]
    assert "never heard" in found["pronunciationWARNING"]


def test_the_nearest_sentence_of_other_meaning_is_found(load: Load) -> None:
    lists = "lists: {what: {values: [lamp, lamb, window]}}"
    commands = load(intents(light="'turn on the {what}'", dark="'put out the {what}'") + lists)
    lexicon = pronounce(commands, INVENTORY)
    competitors = Competitors(commands, lexicon, EVEN)
    rng = random.Random(0)
    for _ in range(20):
        said = sample_sentence(commands.network, rng)
        nearest = competitors.nearest(said, rng)
        assert nearest is not None
        assert nearest.reading != (said.intent, said.slots)
        if said.slots["what"] == "window":
            assert nearest.distance > 3.0
        else:  # the other of "lamp" and "lamb"
            assert (nearest.reading[0], nearest.distance) == (said.intent, pytest.approx(3.0))


# ── the user's own pronunciations ──────────────────────────────────────────────────────────


def test_own_pronunciations_replace_what_espeak_says(load: Load) -> None:
    own = "pronunciations: {ecobee: eco bee, Nest: [/n ɛ s t/, nast]}\n"
    lexicon = pronounce(load(intents(i="'ask ecobee', 'ask nest'") + own), INVENTORY)
    assert lexicon["ecobee"] == lexicon_of("eco bee")
    assert len(lexicon["nest"]) == 2
    assert lexicon["nest"][0] == INVENTORY.phoneme_ids(("n", "ɛ", "s", "t"))


def lexicon_of(text: str) -> list[tuple[int, ...]]:
    return [INVENTORY.phoneme_ids(Phonemizer("en-us").phonemes(text))]


@pytest.mark.parametrize("key", ["kids'", "'Kids'", "kids’"])
def test_own_pronunciations_apply_with_apostrophes_at_the_edge(load: Load, key: str) -> None:
    text = intents(i='"the kids\' room"') + f'pronunciations: {{"{key}": kit}}\n'
    assert pronounce(load(text), INVENTORY)["kids"] == lexicon_of("kit")


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ("{go home: gohm}", "is 2 words"),
        ("{go: /ɡ oʊ}", "neither words nor phonemes"),
        ('{"\'": go}', "is 0 words"),
        ('{go: "\'"}', "has no letters"),
        ("{go: '...'}", "has no letters"),
        ("{go: /ɡ ø/}", r"mine.yaml:4: 'ø' in the pronunciation of 'go' is no phoneme of"),
        ("{go: [true]}", "must be text"),
    ],
)
def test_wrong_pronunciations_are_clear_errors(load: Load, own: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        pronounce(load(intents(i="go") + f"pronunciations: {own}\n"), INVENTORY)


def test_pronunciations_of_several_files_are_merged(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(intents(i="go") + "pronunciations: {go: goe}\n", encoding="utf-8")
    two.write_text("language: en\npronunciations: {go: goe, stop: stopp}\n", encoding="utf-8")
    assert set(load_commands([one, two]).pronunciations) == {"go", "stop"}
    two.write_text("language: en\npronunciations: {go: gow}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="'go' is defined otherwise"):
        load_commands([one, two])


def test_a_pronunciation_no_sentence_needs_is_a_warning(
    load: Load, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_unused(load(intents(i="go") + "pronunciations: {gone: gon}\n"))
    assert "no sentence says 'gone'" in caplog.text


# ── the command ────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with a bank in which nothing is ever misheard."""
    folder = build(tmp_path_factory.mktemp("lint"))
    write_bank(folder, noisy=np.zeros(BANKED, np.bool_))
    return folder


def test_lint_reports_as_json_and_exits_with_one_on_errors(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "light.yaml"
    path.write_text(intents(light="'turn the light on'", dark="'dim the light'"), encoding="utf-8")
    assert main(["lint", str(path), "--bundle", str(bundle), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["errors"] == 0
    assert {intent["intent"] for intent in report["intents"]} == {"light", "dark"}
    assert all(0 <= intent["predicted_error"] < 0.1 for intent in report["intents"])

    path.write_text(
        intents(light="'turn the light on'", dark="'turn the light on'"), encoding="utf-8"
    )
    assert main(["lint", str(path), "--bundle", str(bundle)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"error: {path}:4: 'turn the light on' means dark()")
    assert lines[-1].startswith("1 error, ")
