"""How text and numbers are spoken: lower-case words, no punctuation, no digits."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from hassil.numbers import get_rbnf_engine

from ..errors import ConfigError

_HALVES = {
    "en": ("{} and a half", "a half"),
    "pt": ("{} e meio", "meio"),
}
"""By language: a whole number and a half, and a half alone."""
_POINT = (
    "ak am ar ccp chr cy ee en fa fil ga he hi ja ko ms mt my ne qu sw ta th yue zh zu "
    "de-ch es-419 es-mx es-us it-ch"
)
"""Languages, and regions unlike the rest of theirs, that write 1,000.5; others write 1.000,5."""
_NUMBER = re.compile(r"(?:(?<!\S)[-−])?\d+(?:[.,\u00a0\u202f]\d+)*")
"""Digits, and what may part them: a decimal separator, thousands, or other numbers ("2.5.2024")."""
_FRACTION = re.compile(r"\d+\s*[/⁄]\s*\d+|[¼-¾⅐-⅞]")


def spoken_text(text: str, language: str) -> str:
    """Text as it is spoken; white space stays where it was, punctuation becomes white space.

    Apostrophes are kept, for a piece of a word may begin with one ("'s"), hyphens part words,
    numbers become words, apart from letters ("CO2").

    Raises:
        ConfigError: digits before small letters in one word, a fraction in digits, or a language
            without number words.
    """
    text = re.sub("[’ʼ]", "'", text)  # as typesetters and as Ukrainians write it
    # Formulas part into words ("CO2", "N2O"); "2nd" has one of its own that we do not know.
    text = re.sub(r"(?<=[^\W\d_])(?=\d)", " ", text)
    text = re.sub(r"(?<=\d)[^\W\d_]", lambda m: f" {m[0]}" if m[0].isupper() else m[0], text)
    mixed = re.search(r"\w*\d[^\W\d_]\w*", text)
    if mixed:
        raise ConfigError(f"'{mixed[0]}' mixes digits and letters; write it as it is spoken")
    fraction = _FRACTION.search(text)
    if fraction:
        raise ConfigError(f"'{fraction[0]}' cannot be pronounced; write it in words")
    spelled = (
        part if isinstance(part, str) else number_forms(part, language)[0]
        for part in parted_at_numbers(text, language)
    )
    return spoken_letters("".join(spelled))


def split_words(spoken: str) -> list[str]:
    """The words of spoken text; apostrophes stay within them alone ("it's", but "kids" of "kids'").

    Sentences, typed texts and the lexicon part their words here, so that all have the same.
    """
    return [word for part in spoken.split() if (word := part.strip("'"))]


def is_written_only(text: str) -> bool:
    """Whether text has a written form alone: symbols ("%", "°") or a fraction in digits ("1/2")."""
    text = text.strip()
    return bool(text) and (_FRACTION.fullmatch(text) is not None or not re.search(r"\w", text))


def language_family(language: str) -> str:
    """A language without its region: "pt" of "pt-BR" and of "pt_BR"."""
    return re.split("[-_]", language.lower())[0]


# ── numbers ────────────────────────────────────────────────────────────────────────────────

LARGEST_NUMBER = 1e15
"""Numbers from here on have no words; Unicode's rules end somewhere."""
_MOST_DIGITS = 16
"""Digits of a whole number that are looked at: so many are already too many."""


def parted_at_numbers(text: str, language: str) -> Iterator[str | int | float]:
    """A text in order: its numbers in digits as numbers, and what stands between them.

    Thousands are grouped as the language does; decimals may follow a point or a comma.
    """
    end = 0
    for match in _NUMBER.finditer(text):
        yield text[end : match.start()]
        for place, number in enumerate(_numbers(match[0].replace("−", "-"), language)):
            if place:
                yield " "
            yield number
        end = match.end()
    yield text[end:]


def _numbers(run: str, language: str) -> list[int | float]:
    """The number that digits and separators are, or the numbers."""
    tag = language.lower().replace("_", "-")
    point = not {tag, language_family(tag)}.isdisjoint(_POINT.split())
    group, decimal = (r"[,\u00a0\u202f]", r"\.") if point else (r"[.\u00a0\u202f]", ",")
    # Two digits between separators are India's lakhs and crores.
    thousands = rf"-?(?!0)\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}}(?:{decimal}\d+)?"
    if re.fullmatch(thousands, run):
        run = re.sub(group, "", run)
    if re.fullmatch(r"-?\d+[.,]\d+", run):
        return [float(run.replace(",", "."))]
    return [_whole(digits) for digits in re.split(r"[.,\u00a0\u202f]", run)]


def _whole(digits: str) -> int:
    # No more than it takes to see that a number is too large: Python refuses thousands of digits.
    size = int(digits.lstrip("-0")[:_MOST_DIGITS] or "0")
    return -size if digits.startswith("-") else size


@lru_cache(maxsize=4096, typed=True)
def number_forms(number: int | float, language: str) -> tuple[str, ...]:
    """Every way to say a number, the most usual first; all genders and cases of the language.

    The words are those of Unicode's rule-based number format (CLDR); English also has "a hundred"
    and "one hundred and five", and halves are also said as such where we know how.

    Raises:
        ConfigError: Unicode has no number words for the language.
    """
    try:
        engine = get_rbnf_engine(language)
    except ValueError as error:
        raise ConfigError(
            f"no number words are known for language '{language}'; write numbers as words"
        ) from error
    if not abs(number) < LARGEST_NUMBER:
        raise ConfigError("a number of 16 digits is more than anybody says; write it as words")
    if number < 0 and number % 1:
        # The engine loses the fraction of negative numbers: take its word for minus alone.
        minus = engine.format_number(-1).text.removesuffix(engine.format_number(1).text)
        return tuple(spoken_letters(minus) + form for form in number_forms(-number, language))
    forms = [
        " ".join(spoken_letters(text).split())
        for text in engine.format_number(number).text_by_ruleset.values()
    ]
    family = language_family(language)
    if family == "en":
        forms += [re.sub(r"hundred (?!point)", "hundred and ", form) for form in forms]
        forms += [re.sub(r"^one hundred", "a hundred", form) for form in forms]
    if family in _HALVES and number % 1 == 0.5 and number > 0:
        after, alone = _HALVES[family]
        whole = int(number)
        forms += (
            [after.format(form) for form in number_forms(whole, language)] if whole else [alone]
        )
    return tuple(dict.fromkeys(forms))


def half_forms(language: str) -> tuple[str, ...]:
    """Every way to say "1/2" by itself: as a number, and as a half with or without an article."""
    # "half" beside "a half": the article may stand in the sentence.
    forms = number_forms(0.5, language)
    if (family := language_family(language)) in _HALVES:
        forms += (_HALVES[family][1].split()[-1],)
    return tuple(dict.fromkeys(forms))


def spoken_letters(text: str, kept: str = "LM") -> str:
    """Lower-case letters with their marks, apostrophes, and spaces for everything else.

    Args:
        kept: first letters of the Unicode categories that stay; "N" would be digits.
    """
    letters = []
    for character in unicodedata.normalize("NFC", text.lower()):
        category = unicodedata.category(character)
        if category[0] in kept or character == "'":
            letters.append(character)
        elif category != "Cf":  # format characters, such as the soft hyphens in CLDR's numbers
            letters.append(" ")
    return "".join(letters)
