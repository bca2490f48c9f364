"""Words to phonemes, in more than one language."""

import pytest

from assistant.errors import ConfigError
from assistant.grammar.phonemes import Phonemizer


@pytest.fixture(scope="module")
def english():
    return Phonemizer("en-us")


def test_sentences_become_phonemes_without_stress(english):
    assert english.words("Turn it!") == [("t", "ɜː", "n"), ("ɪ", "t")]
    assert english.phonemes("little apple") == ("l", "ɪ", "ɾ", "ə", "l", "æ", "p", "ə", "l")


def test_vowels_and_the_r_after_them_are_two_phonemes(english):
    assert english.phonemes("four doors") == ("f", "ɔː", "ɹ", "d", "ɔː", "ɹ", "z")


def test_long_texts_and_punctuation_are_read_to_the_end(english):
    text = "one, two. three; four: five? six! " * 40
    assert len(english.words(text)) == 240


def test_nothing_has_no_phonemes(english):
    assert english.phonemes("...") == ()
    with pytest.raises(ConfigError, match="spell it out"):
        english.pronunciations(["…"])


def test_weak_forms_are_heard_within_sentences(english):
    lexicon = english.pronunciations(
        ["a", "cup", "of", "the", "tea"], [("a", "cup", "of", "the", "tea")]
    )
    assert lexicon["a"] == (("eɪ",), ("ɐ",))
    assert lexicon["tea"] == (("t", "iː"),)


def test_languages_may_be_used_in_turn(english):
    portuguese = Phonemizer("pt-br")
    before = english.phonemes("light")
    assert "ɲ" in portuguese.phonemes("cozinha")
    assert english.phonemes("light") == before


def test_vowel_signs_and_combining_marks_are_part_of_a_word(english):
    hindi = Phonemizer("hi")
    assert hindi.phonemes("की") != hindi.phonemes("क")
    assert len(hindi.words("बत्ती जलाओ")) == 2
    portuguese = Phonemizer("pt-br")
    assert portuguese.phonemes("cafe\u0301") == portuguese.phonemes("café")
    assert english.phonemes("turn_it 2") == english.phonemes("turn it two")


def test_unknown_languages_are_named():
    with pytest.raises(ConfigError, match="does not speak 'klingon-x'"):
        Phonemizer("klingon-x")
