"""PocketSphinx as a peer: it hears the grammar itself, as JSGF, with its own US English model.

It can answer nothing but a sentence of the grammar, or nothing at all; its word posteriors are the
confidence. Words that its dictionary lacks are pronounced as the compiled commands have them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...bundle import AcousticBundle, CommandBundle
from ...errors import UsageError
from ...grammar.network import Acceptor, WordNetwork
from ...program import install_line
from ...types import Samples
from ..recogniser import Decision
from .jsgf import jsgf

NAME = "pocketsphinx"
ARPABET = {
    **{"aɪ": "AY", "aɪə": "AY AH", "aɪɚ": "AY ER", "aʊ": "AW", "eɪ": "EY", "oʊ": "OW", "ɔɪ": "OY"},
    **{"i": "IY", "iː": "IY", "iə": "IY AH", "ɪ": "IH", "ᵻ": "IH", "ɛ": "EH", "æ": "AE", "ʌ": "AH"},
    **{"ɐ": "AH", "ə": "AH", "ɚ": "ER", "ɜː": "ER", "ɑː": "AA", "ɔ": "AO", "ɔː": "AO", "ʊ": "UH"},
    **{"uː": "UW", "p": "P", "b": "B", "t": "T", "d": "D", "k": "K", "ɡ": "G", "tʃ": "CH"},
    **{"dʒ": "JH", "f": "F", "v": "V", "θ": "TH", "ð": "DH", "s": "S", "z": "Z", "ʃ": "SH"},
    **{"ʒ": "ZH", "h": "HH", "m": "M", "n": "N", "n̩": "AH N", "ŋ": "NG", "l": "L", "ɹ": "R"},
    **{"j": "Y", "w": "W", "ɾ": "T", "ʔ": "T"},
}
"""Phonemes as espeak-ng has them in US English to those of CMUdict, which PocketSphinx knows."""

log = logging.getLogger(__name__)


class PocketSphinx:
    """PocketSphinx's decoder over the grammar of compiled commands."""

    def __init__(
        self, acoustic: AcousticBundle, commands: CommandBundle, least_confidence: float
    ) -> None:
        """Load it.

        Args:
            acoustic: names the phonemes in which the commands' words are pronounced.
            least_confidence: below it a sentence is refused; see `__call__`.

        Raises:
            UsageError: it is not installed, or the commands are not English.
        """
        try:
            from pocketsphinx import Decoder, get_model_path  # noqa: PLC0415
        except ImportError as error:
            raise UsageError(
                f"{NAME} is not installed; install it: {install_line('peers')}"
            ) from error
        if not commands.language.lower().startswith("en"):
            raise UsageError(f"{NAME} speaks US English alone, not '{commands.language}'")
        self._least = least_confidence
        self._decoder: Any = Decoder(
            hmm=get_model_path("en-us/en-us"),
            dict=get_model_path("en-us/cmudict-en-us.dict"),
            lm=None,
            cmn="batch",  # by the utterance's own mean: what was heard before plays no part
            loglevel="FATAL",
        )
        self.pronounced, self.left_out = self._pronounce(acoustic, commands)
        if self.left_out:
            log.warning("%s cannot say, and so not hear: %s", NAME, ", ".join(self.left_out))
        network = without_words(commands.network, self.left_out)
        self._accept = Acceptor(network)
        self._decoder.add_jsgf_string(NAME, jsgf(network, commands.language))
        self._decoder.activate_search(NAME)

    def __call__(self, samples: Samples) -> Decision:
        """The best sentence; the confidence is the mean posterior probability of its words."""
        scaled = np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16)
        self._decoder.reinit_feat()  # forget the noise of what was heard before
        self._decoder.start_utt()
        self._decoder.process_raw(scaled.tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        words = tuple(found.hypstr.split()) if found is not None else ()
        readings = self._accept(words) if words else []
        if not readings:
            reason = f"it heard '{' '.join(words)}', the beginning of a sentence" if words else ""
            return Decision(None, {}, " ".join(words), 0.0, None, reason or "it heard no sentence")
        posteriors = [one.prob for one in self._decoder.seg() if _is_word(one.word)]
        confidence = min(1.0, float(np.mean(posteriors)))
        intent, slots = readings[0]
        if confidence < self._least:
            reason = "it was not sure of what it heard"
            return Decision(None, slots, " ".join(words), confidence, intent, reason)
        return Decision(intent, slots, " ".join(words), confidence)

    def _pronounce(
        self, acoustic: AcousticBundle, commands: CommandBundle
    ) -> tuple[list[str], list[str]]:
        """Add what the dictionary lacks; the words added, and those that could not be."""
        pronounced: list[str] = []
        left_out: list[str] = []
        for word in dict.fromkeys(arc.word for arc in commands.network.arcs if arc.word):
            if self._decoder.lookup_word(word) is not None:
                continue
            said = [
                arpabet([acoustic.phonemes[column] for column in columns])
                for columns in commands.lexicon[word]
            ]
            known = [phones for phones in dict.fromkeys(said) if phones is not None]
            for number, phones in enumerate(known, 1):
                variant = word if number == 1 else f"{word}({number})"
                self._decoder.add_word(variant, phones, update=False)
            (pronounced if known else left_out).append(word)
        return pronounced, left_out


def arpabet(phonemes: Sequence[str]) -> str | None:
    """A pronunciation in CMUdict's phonemes; None where it has a sound that they have not."""
    if not phonemes or any(phoneme not in ARPABET for phoneme in phonemes):
        return None
    return " ".join(ARPABET[phoneme] for phoneme in phonemes)


def without_words(network: WordNetwork, words: Iterable[str]) -> WordNetwork:
    """The network without the sentences that have one of the words.

    Raises:
        UsageError: none is left.
    """
    unknown = set(words)
    leads_on = set(network.finals)
    kept = []
    for arc in reversed(network.arcs):
        if arc.target in leads_on and arc.word not in unknown:
            leads_on.add(arc.source)
            kept.append(arc)
    if network.start not in leads_on:
        raise UsageError(f"every sentence has a word that {NAME} cannot say")
    return replace(network, arcs=tuple(reversed(kept)))


def _is_word(heard: str) -> bool:
    """Not a filler: `<sil>`, `[NOISE]`, nor an empty step of the grammar, `(NULL)`."""
    return re.match(r"[<\[(+]", heard) is None
