"""Figures in documents come from reports that are kept, and from nothing else."""

import sys
from pathlib import Path

import pytest
from script_support import load_script

from assistant.errors import UsageError
from assistant.evaluation.benchmark.documented import (
    figures_of,
    markdown,
    read_figures,
    write_figures,
)
from assistant.evaluation.benchmark.tables import tables as terminal
from assistant.evaluation.comparison import read_report
from assistant.evaluation.documented import reports_of, tables, write_tables
from assistant.training.document import part

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    document
    for document in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("models/*/*.md"))
    if reports_of(document)
]


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_documented_figures_are_those_of_the_reports(document: Path) -> None:
    made = tables([read_report(path) for path in reports_of(document)])
    assert part(document, "evaluation") == made, (
        f"python scripts/document_evaluation.py {name_of(document)} writes them anew"
    )


def test_the_benchmark_is_documented_from_its_figures() -> None:
    document = ROOT / "docs/benchmark.md"
    path = figures_of(document)
    assert path is not None
    assert part(document, "benchmark") == markdown(read_figures(path)), (
        "python scripts/document_evaluation.py docs/benchmark.md writes them anew"
    )


def test_every_table_of_the_terminal_is_in_the_document(tmp_path: Path) -> None:
    path = figures_of(ROOT / "docs/benchmark.md")
    assert path is not None
    document = tmp_path / "page.md"
    head = f"<!-- benchmark: {path} -->\n"
    document.write_text(f"{head}<!-- benchmark:begin -->\n1 ms\n<!-- benchmark:end -->\nend\n")
    write_figures(document)
    text = document.read_text(encoding="utf-8")
    assert text.startswith(head) and text.endswith("end\n") and "\n1 ms\n" not in text
    found = read_figures(path)
    assert {"compute", "latency", "start-up", "memory", "streams", "length", "commands"} <= {*found}
    assert all(f"**{table.title}**" in text for table in terminal(found))


def test_figures_that_are_none_are_told(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("<!-- benchmark: figures.json -->\n")
    with pytest.raises(UsageError, match=r"figures\.json: cannot be read"):
        write_figures(document)


def test_the_evaluation_and_the_cards_are_documented_so() -> None:
    named = {name_of(document) for document in DOCUMENTS}
    assert {"docs/evaluation.md", "models/en-us/CARD.md", "models/en-us-small/CARD.md"} <= named


def test_what_was_changed_by_hand_is_written_anew(tmp_path: Path) -> None:
    (source,) = reports_of(ROOT / "models/en-us/CARD.md")
    document = tmp_path / "page.md"
    head = f"# Page\n\n<!-- reports: {source} -->\n"
    document.write_text(f"{head}<!-- evaluation:begin -->\n1.000\n<!-- evaluation:end -->\nend\n")
    write_tables(document)
    text = document.read_text()
    assert text.startswith(head) and text.endswith("end\n")
    assert "\n1.000\n" not in text
    assert part(document, "evaluation") == tables([read_report(source)])


def test_reports_of_other_settings_do_not_share_a_table() -> None:
    (path,) = reports_of(ROOT / "models/en-us/CARD.md")
    report = dict(read_report(path))
    other = {**report, "made_from": {**report["made_from"], "seed": 99}}
    with pytest.raises(UsageError, match="seed 99"):
        tables([report, other])


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("reverb", True, "simulated rooms"),
        ("early_commit", True, "early commit"),
        ("noise_hash", "0" * 64, "different noise"),
        ("manifest_hash", "0" * 64, "different manifest"),
        ("commands", None, "evaluate it with --commands"),
    ],
)
def test_reports_of_other_conditions_do_not_share_a_table(
    key: str, value: object, told: str
) -> None:
    (path,) = reports_of(ROOT / "models/en-us/CARD.md")
    report = dict(read_report(path))
    other = {**report, "made_from": {**report["made_from"], key: value}}
    with pytest.raises(UsageError, match=told) as refused:
        tables([report, other])
    assert "\n" not in str(refused.value)


def test_an_older_report_without_hashes_shares_a_table() -> None:
    (path,) = reports_of(ROOT / "models/en-us/CARD.md")
    report = dict(read_report(path))
    later = ("reverb", "early_commit", "noise_hash", "manifest_hash")
    made_from = {key: value for key, value in report["made_from"].items() if key not in later}
    assert tables([report, {**report, "made_from": made_from}])


def test_a_document_that_is_not_there_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = load_script("document_evaluation", monkeypatch)
    monkeypatch.setattr(sys, "argv", ["document_evaluation.py", str(tmp_path / "none.md")])
    with pytest.raises(UsageError, match=r"none\.md: cannot be read: No such file"):
        script.main()


def test_a_document_without_reports_says_what_is_missing(tmp_path: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("# Page\n")
    with pytest.raises(UsageError, match="names no report"):
        write_tables(document)
