"""The page of a report: complete, self-contained, the same each time; data never becomes markup."""

from __future__ import annotations

import base64
import io
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from evaluation_example import detail, report, utterance

from assistant.config import FeatureConfig
from assistant.errors import UsageError
from assistant.evaluation.detail import mel_bin
from assistant.evaluation.html import render, write_html
from assistant.evaluation.worst import slot_rows, why, worst
from assistant.features import LogMel

HOSTILE = '"><script src=//x.example/a.js></script><img src=x onerror=alert(1)>$x^2$'
VOID = {"meta", "link", "img", "br", "input", "hr", "source", "wbr", "area", "base", "embed"}
NOTHING = {"conditions": [], "confusion": {}, "negatives": None, "det": [], "latency": {}}
SCENE = {"intent": "setScene", "slots": {}}


class Page(HTMLParser):
    """Elements of a page, its text, and whether every element was closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def full() -> str:
    """A page with everything a page can have."""
    latency = {"endpoint_delay": 700.0, "decision": 705.0, "first_partial": None}
    return render(
        report(
            utterance("right.flac", latency_ms=latency),
            utterance("wrong.flac", got=SCENE, latency_ms=latency),
            utterance("right.flac", 6.0),
            utterance("wrong.flac", 6.0, got=None, confidence=0.2),
        ),
        [detail("wrong.flac"), detail("talk/1.flac", None, said="it's on")],
    )


# ── what is on it ──────────────────────────────────────────────────────────────────────────


def test_the_page_says_what_the_report_says(full: str) -> None:
    page = Page(full)
    for told in (
        "assistant on dev/manifest.jsonl",
        "2 recordings in 2 conditions",
        "90 % 45–95",  # exact and its interval
        "12.3 %",  # phoneme error
        "setScene 3 of 13",
        "kitchen chicken 2",
        "end of speech to decision 705 ms 730 ms 4",
        "it's on",
        "gone.flac there is no such file",
        "versions: torch 2",
        "taken for setScene (expected: setLight)",
    ):
        assert told in page.text, told
    charts = [svg["aria-label"] for svg in page.all("svg")]
    starts = ("Chart of rates over noise", "Detection error", "Histograms", "Spectrogram of 1.0 s")
    assert [label.startswith(start) for label, start in zip(charts, starts, strict=True)] == [
        True
    ] * 4
    assert "refused, clean: 10 %, 6 dB: 20 %" in charts[0] and "threshold in use, 0.50" in charts[1]
    assert "tʃ ɪ k" in charts[3]  # by the time of their rows


def test_what_was_right_is_no_confusion(full: str) -> None:
    assert "setLight setLight" not in Page(full).text


def test_the_sound_is_what_was_heard(full: str) -> None:
    first, second = Page(full).all("audio")
    assert "talk/1.flac" in first["aria-label"] and "wrong.flac" in second["aria-label"]
    kind, _, content = second["src"].partition(",")
    assert kind == "data:audio/flac;base64"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(content)), dtype="float32")
    assert rate == 16_000
    np.testing.assert_allclose(samples, detail("wrong.flac").samples, atol=1e-4)


def test_loud_sound_is_turned_down_and_not_clipped() -> None:
    loud = detail("loud.flac")
    content = type(loud)(loud.path, loud.snr, loud.samples * 30, loud.log_mel, loud.hop).audio()
    samples, _ = soundfile.read(io.BytesIO(base64.b64decode(content.partition(",")[2])))
    np.testing.assert_allclose(samples, loud.samples * 10, atol=1e-3)


def test_a_bare_report_has_a_page() -> None:
    bare = report(utterance("a.flac"), phoneme_error=None, negatives=None, det=[], problems=[])
    bare["latency"] = dict.fromkeys(bare["latency"])
    bare["confusion"] = {"intents": [], "slots": {}}
    text = Page(render(bare)).text
    assert "Nothing went wrong" in text and "Nothing was confused." in text
    assert "Latency" not in text and "false accepts" not in text and "Problems" not in text


def test_a_manifest_of_text_alone_has_a_page() -> None:
    unlabelled = {"exact": None, "strict": None, "expected": {"intent": None, "slots": None}}
    entries = [
        {**utterance(name, got=None, errors=errors), **unlabelled}
        for name, errors in (("good.flac", 0), ("bad.flac", 3), ("worse.flac", 5))
    ]
    content = report(*entries, **NOTHING)
    text = Page(render(content, [detail("worse.flac")])).text
    assert "phoneme error 12.3 %" in text and "Nothing was to be decided" in text
    assert text.index("5 phonemes wrong, of 10") < text.index("3 phonemes wrong, of 10")
    assert "good.flac" not in text and "expected" not in text


def test_where_the_recording_is_gone_the_page_says_so() -> None:
    text = Page(render(report(utterance("a.flac", got=None), **NOTHING))).text
    assert "The recording is not at hand" in text and "Refused: confidence 0.20" in text


def test_a_recogniser_without_a_threshold_has_no_mark_on_its_curve() -> None:
    content = report(utterance("a.flac"))
    content["made_from"]["threshold"] = None
    page = Page(render(content))
    (chart,) = (s["aria-label"] for s in page.all("svg") if "tradeoff" in s["aria-label"])
    assert chart.endswith("over 10 thresholds.")


def test_a_figure_without_an_interval_has_a_page() -> None:
    content = report(utterance("a.flac"), phoneme_error_interval=None)
    content["conditions"][0] |= {"exact_interval": None, "phoneme_error_interval": None}
    drawn = render(content)
    assert "phoneme error 12.3 %" in Page(drawn).text
    assert "nan" not in re.sub(r'"data:[^"]*"', "", "".join(re.findall(r"<svg.*?</svg>", drawn)))


def test_pictures_without_posteriors_are_drawn() -> None:
    heard = detail("a.flac")
    peer = type(heard)(heard.path, heard.snr, heard.samples, heard.log_mel, heard.hop)
    assert "Spectrogram" in peer.picture("x") and "phoneme" not in peer.picture("x")


# ── and what is not ────────────────────────────────────────────────────────────────────────


def test_nothing_is_fetched(full: str) -> None:
    page = Page(full)
    policy = next(m for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'")
    assert not page.all("script") and not page.all("link") and not page.all("iframe")
    for _, attributes in page.elements:
        for key, value in attributes.items():
            assert not key.startswith("on")
            if key in ("src", "href", "xlink:href", "srcset", "action", "poster"):
                assert value.startswith(("data:", "#")), value[:80]
    assert not re.search(r"https?://|url\((?!#)|@import", full)


def test_data_is_never_markup() -> None:
    """Every text of a report that comes from outside is hostile; the page shows it as it is."""
    said = {"intent": HOSTILE, "slots": {HOSTILE: HOSTILE}}
    wrong = utterance(HOSTILE, got=said, speaker=HOSTILE, reason=HOSTILE)
    wrong["got"]["text"] = HOSTILE
    content = report(wrong)
    made_from = content["made_from"]
    made_from |= {key: HOSTILE for key, value in made_from.items() if isinstance(value, str)}
    content["problems"] = [{"line": 1, "path": HOSTILE, "what": HOSTILE}]
    confused = [{"expected": HOSTILE, "got": "y" + HOSTILE, "count": 1}]
    content["confusion"] = {"intents": confused, "slots": {HOSTILE: confused}}
    example = {"path": HOSTILE, "intent": HOSTILE, "text": HOSTILE, "confidence": 0.6}
    content["negatives"]["examples"] = [example]
    content["compute"]["machine"] = HOSTILE
    heard = detail(HOSTILE)
    named = type(heard)(
        heard.path, "clean", heard.samples, heard.log_mel, 0.01, heard.posteriors, (HOSTILE,) * 5
    )
    page = Page(render(content, [named, detail(HOSTILE, None, said=HOSTILE)]))
    assert not page.all("script") and not page.all("img")
    assert not any(key.startswith("on") for _, a in page.elements for key in a)
    assert page.text.count(HOSTILE) > 20
    assert len(page.all("audio")) == 2


def test_pictures_have_the_pages_colours_and_names_of_their_own(full: str) -> None:
    page = Page(full)
    names = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(names) == len(set(names))
    links = re.findall(r'(?:href="|url\()#([\w-]+)', full)
    assert set(links) <= set(names)
    drawn = re.sub(r'"data:[^"]*"', "", "".join(re.findall(r"<svg.*?</svg>", full, re.DOTALL)))
    assert not re.findall(r"(?:fill|stroke): ?#\w+", drawn)
    variables = set(re.findall(r"var\((--\w+)\)", full))
    declared = re.search(r":root \{.*?\}", full, re.DOTALL)
    assert declared and all(f"{name}:" in declared[0] for name in variables - {"--share"})


def test_the_same_report_makes_the_same_page(full: str) -> None:
    content = report(utterance("a.flac", got=None), **{**NOTHING, "det": report()["det"]})
    assert render(content, [detail("a.flac")]) == render(content, [detail("a.flac")])


# ── which are the worst ────────────────────────────────────────────────────────────────────


def test_wrong_before_refused_and_the_most_confident_first() -> None:
    found = worst(
        [
            utterance("right", confidence=1.0),
            utterance("extra", exact=True, strict=False, confidence=0.99),
            utterance("refused in noise", 6.0, got=None, confidence=0.1),
            utterance("refused in quiet", got=None, confidence=0.4),
            utterance("doubtful", got=SCENE, confidence=0.5),
            utterance("sure", 6.0, got=SCENE, confidence=0.8),
        ]
    )
    assert [slip.entry["path"] for slip in found] == [
        "sure",
        "doubtful",
        "refused in quiet",
        "refused in noise",
        "extra",
    ]


def test_several_commands_are_wrong_and_not_refused() -> None:
    reason = "2 commands were heard: 'light on', 'light on'"
    several = utterance("several", got=None, confidence=0.0, reason=reason)
    refused, slip = worst([utterance("refused", got=None, confidence=0.2), several])[::-1]
    assert (slip.entry["path"], slip.kind, refused.kind) == ("several", "wrong", "refused")
    assert why(several) == f"{reason}."
    assert 'class="chip wrong"' in render(report(several, **NOTHING))


def test_a_recording_is_shown_once_where_it_is_worst() -> None:
    entries = [
        utterance("a", 15.0, got=SCENE, confidence=0.6),
        utterance("a", "clean", got=None, confidence=0.4),
        utterance("a", 6.0, got=SCENE, confidence=0.9),
        *(utterance(f"b{i}", got=None) for i in range(30)),
    ]
    found = worst(entries)
    assert len(found) == 20 and found == worst(entries[::-1])
    assert (found[0].entry["snr"], found[0].also) == (6.0, (15.0, "clean"))


def test_why_names_every_slot_that_differs() -> None:
    got = {"intent": "setLight", "slots": {"room": "den", "level": 3}}
    entry = utterance("a", got=got)
    assert why(entry) == (
        "state “on” was not heard; room is “den”, should be “kitchen”; level “3” was not said."
    )
    assert slot_rows(entry) == [
        ("state", "on", None),
        ("room", "kitchen", "den"),
        ("level", None, 3),
    ]
    slots_alone = utterance("a", expected={"intent": None, "slots": {"room": "den"}})
    assert why(slots_alone).startswith("room is “kitchen”, should be “den”")


# ── errors and files ───────────────────────────────────────────────────────────────────────


def test_without_matplotlib_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"--html needs matplotlib.*pip install"):
        render(report(utterance("a")))


def test_the_page_is_written_where_it_was_asked_for(tmp_path: Path) -> None:
    write_html(report(utterance("ä.flac", got=None), **NOTHING), tmp_path / "new" / "page.html")
    assert "ä.flac" in (tmp_path / "new/page.html").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="cannot be written"):
        write_html(report(utterance("a"), **NOTHING), tmp_path)
    with pytest.raises(UsageError, match="no report"):
        write_html({"version": 1}, tmp_path / "page.html")


def test_marks_of_the_spectrograms_axis_are_where_the_filters_are() -> None:
    """A tone is loudest in the bin that the axis says it is in."""
    config = FeatureConfig()
    for hertz in (500.0, 1000.0, 4000.0):
        time = torch.arange(16_000) / 16_000
        frames = LogMel(config).whole(torch.sin(2 * np.pi * hertz * time))
        loudest = int(frames[50].argmax())
        assert abs(loudest - mel_bin(hertz, config.mel_bins)) <= 0.6
