"""Words to phonemes with espeak-ng, in any of its languages.

The library and its data come from the wheel `espeakng-loader`, and are called through their C
interface (`speak_lib.h`). Stress marks are dropped and compound symbols are split, so that the
inventory stays small; nothing here knows a particular language.
"""

from __future__ import annotations

import ctypes
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import espeakng_loader

from ..errors import ConfigError
from .wording import spoken_letters

Pronunciation = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SaidTogether:
    """A word of a sentence and how it is said there, or several that are said as one."""

    words: tuple[str, ...]
    phonemes: Pronunciation


_CHARS_UTF8 = 1
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000
_PHONEMES_IPA = 0x02
_SEPARATOR = "_"
_LANGUAGE_SWITCH = re.compile(r"\([^)]*\)")
_STRESS = str.maketrans("", "", "ˈˌ")


class Phonemizer:
    """espeak-ng's grapheme-to-phoneme rules for one language (an espeak voice name: `en-us`)."""

    _lock = threading.Lock()
    _library: ctypes.CDLL | None = None

    def __init__(self, language: str) -> None:
        self.language = language
        with self._lock:
            self._select()

    def words(self, text: str) -> list[Pronunciation]:
        """The phonemes of each group of words of a sentence, said together (weak forms, liaison).

        espeak-ng joins some function words ("of the") into one group.
        """
        with self._lock:
            library = self._select()
            pieces = []
            pointer = ctypes.c_void_p(ctypes.addressof(encoded := _buffer(text)))
            mode = _PHONEMES_IPA | ord(_SEPARATOR) << 8
            while pointer.value:
                ipa = library.espeak_TextToPhonemes(ctypes.byref(pointer), _CHARS_UTF8, mode)
                if ipa is None:
                    break
                pieces.append(ipa.decode("utf-8"))
            del encoded
        plain = _LANGUAGE_SWITCH.sub("", " ".join(pieces)).translate(_STRESS)
        return [split for group in plain.split() if (split := _symbols(group))]

    def phonemes(self, text: str) -> Pronunciation:
        """The phonemes of a whole sentence."""
        return tuple(phoneme for word in self.words(text) for phoneme in word)

    def sentence(
        self, words: Sequence[str], alone: Mapping[str, Pronunciation]
    ) -> list[SaidTogether]:
        """How words are said within a sentence; nothing where it cannot be told which says what.

        Args:
            alone: how each word is said by itself.
        """
        return _parted(words, self.words(" ".join(words)), alone)

    def pronunciations(
        self, words: Iterable[str], sentences: Iterable[Sequence[str]] = ()
    ) -> dict[str, tuple[Pronunciation, ...]]:
        """How each word is said: by itself, and as it comes out within the sentences given.

        A variant must be heard in a tenth of a word's occurrences to be kept.

        Raises:
            ConfigError: a word has no pronunciation.
        """
        alone = {}
        for word in words:
            said = self.phonemes(word)
            if not said:
                raise ConfigError(f"'{word}' has no pronunciation in {self.language}; spell it out")
            alone[word] = said
        within: dict[str, Counter[Pronunciation]] = {word: Counter() for word in alone}
        for sentence in sentences:
            for together in self.sentence(sentence, alone):
                if len(together.words) == 1:
                    within[together.words[0]][together.phonemes] += 1
        lexicon = {}
        for word, said in alone.items():
            heard = within[word]
            common = [p for p, n in heard.most_common(3) if n * 10 >= heard.total() and p != said]
            lexicon[word] = (said, *common)
        return lexicon

    def _select(self) -> ctypes.CDLL:
        """The library, loaded once, with this language's voice chosen."""
        cls = type(self)
        if cls._library is None:
            library = ctypes.CDLL(espeakng_loader.get_library_path())
            library.espeak_TextToPhonemes.restype = ctypes.c_char_p
            data = espeakng_loader.get_data_path().encode()
            if library.espeak_Initialize(_AUDIO_OUTPUT_SYNCHRONOUS, 0, data, _DO_NOT_EXIT) < 0:
                raise ConfigError("espeak-ng could not start; reinstall the wheel espeakng-loader")
            cls._library = library
        if cls._library.espeak_SetVoiceByName(self.language.encode()) != 0:
            raise ConfigError(f"espeak-ng does not speak '{self.language}'; try en-us, pt-br, …")
        return cls._library


def _parted(
    sentence: Sequence[str],
    groups: Sequence[Pronunciation],
    alone: Mapping[str, Pronunciation],
) -> list[SaidTogether]:
    """The words of a sentence with the groups that espeak-ng says of them.

    It may say two words as one group ("of the"); which ones is found by the lengths of the
    pronunciations, by dynamic programming.
    """
    sizes = [len(alone.get(word, ())) for word in sentence]
    best: dict[tuple[int, int], tuple[float, list[SaidTogether]]] = {(0, 0): (0.0, [])}
    for group, said in enumerate(groups):
        for word in range(len(sentence)):
            if (group, word) not in best:
                continue
            cost, parts = best[group, word]
            for taken in range(1, min(3, len(sentence) - word) + 1):
                total = cost + abs(len(said) - sum(sizes[word : word + taken])) + 0.5 * (taken - 1)
                key = (group + 1, word + taken)
                if key not in best or total < best[key][0]:
                    together = SaidTogether(tuple(sentence[word : word + taken]), said)
                    best[key] = (total, [*parts, together])
    return best.get((len(groups), len(sentence)), (0.0, []))[1]


def _buffer(text: str) -> ctypes.Array[ctypes.c_char]:
    """The text without what espeak-ng would read out as punctuation or split into clauses."""
    return ctypes.create_string_buffer(spoken_letters(text, kept="LMN").encode("utf-8"))


def _symbols(group: str) -> Pronunciation:
    """One group of espeak-ng's symbols to phonemes: compounds such as `ɔːɹ` or `əl` are split."""
    return tuple(p for symbol in group.split(_SEPARATOR) for p in _split(symbol))


@lru_cache(maxsize=4096)
def _split(symbol: str) -> Pronunciation:
    symbol = unicodedata.normalize("NFC", symbol).replace("\u200d", "").strip("-")
    letters = [c for c in symbol if unicodedata.category(c) not in ("Mn", "Lm", "Sk")]
    if len(letters) < 2:
        return (symbol,) if letters else ()
    last = letters[-1]
    is_vowel_then_consonant = last in "ɹlɫrn" and symbol.endswith(last)
    return (symbol[: -len(last)], last) if is_vowel_then_consonant else (symbol,)
