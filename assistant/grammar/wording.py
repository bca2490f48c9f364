"""How text and numbers are spoken: lower-case words, no punctuation, no digits."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from hassil.numbers import get_rbnf_engine

from ..errors import ConfigError

_HALVES = {
    "en": ("{} and a half", "a half"),
    "pt": ("{} e meio", "meio"),
}
"""By language: a whole number and a half, and a half alone."""
_FRACTION = re.compile(r"\d+\s*[/⁄]\s*\d+|[¼-¾⅐-⅞]")


def spoken_text(text: str, language: str) -> str:
    """Text as it is spoken; white space stays where it was, punctuation becomes white space.

    Apostrophes are kept ("what's"), hyphens part words, numbers become words, apart from
    letters ("CO2").

    Raises:
        ConfigError: digits before small letters in one word, a fraction in digits, or a language
            without number words.
    """
    text = text.replace("’", "'")
    # Formulas part into words ("CO2", "N2O"); "2nd" has one of its own that we do not know.
    text = re.sub(r"(?<=[^\W\d_])(?=\d)", " ", text)
    text = re.sub(r"(?<=\d)[^\W\d_]", lambda m: f" {m[0]}" if m[0].isupper() else m[0], text)
    mixed = re.search(r"\w*\d[^\W\d_]\w*", text)
    if mixed:
        raise ConfigError(f"'{mixed[0]}' mixes digits and letters; write it as it is spoken")
    fraction = _FRACTION.search(text)
    if fraction:
        raise ConfigError(f"'{fraction[0]}' cannot be pronounced; write it in words")
    spelled = re.sub(
        r"(?:(?<!\S)[-−])?\d+(?:\.\d+)?",
        lambda match: number_forms(_number(match[0]), language)[0],
        text,
    )
    return _letters(spelled)


def is_written_only(text: str) -> bool:
    """Whether text has a written form alone: symbols ("%", "°") or a fraction in digits ("1/2")."""
    text = text.strip()
    return bool(text) and (_FRACTION.fullmatch(text) is not None or not re.search(r"\w", text))


LARGEST_NUMBER = 1e15
"""Numbers from here on have no words; Unicode's rules end somewhere."""


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
        raise ConfigError(f"{number:.3g} is more than anybody says; write it as words")
    if number < 0 and number % 1:
        # The engine loses the fraction of negative numbers: take its word for minus alone.
        minus = engine.format_number(-1).text.removesuffix(engine.format_number(1).text)
        return tuple(_letters(minus) + form for form in number_forms(-number, language))
    forms = [
        " ".join(_letters(text).split())
        for text in engine.format_number(number).text_by_ruleset.values()
    ]
    family = re.split("[-_]", language)[0]
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


def _letters(text: str) -> str:
    """Lower-case letters with their marks, apostrophes, and spaces for everything else."""
    kept = []
    for character in unicodedata.normalize("NFC", text.lower()):
        category = unicodedata.category(character)
        if category[0] in "LM" or character == "'":
            kept.append(character)
        elif category != "Cf":  # format characters, such as the soft hyphens in CLDR's numbers
            kept.append(" ")
    return "".join(kept)


def _number(digits: str) -> int | float:
    digits = digits.replace("−", "-")
    return float(digits) if "." in digits else int(digits)
