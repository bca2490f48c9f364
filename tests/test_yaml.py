"""What looks like YAML and cannot be read is told in one line with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.errors import ConfigError
from assistant.grammar.yaml_source import read_located
from assistant.yaml_loader import read_yaml


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("!secret x", "put 'x' in quotes if it is text; it cannot be read as !secret"),
        ("2024-13-45", "put '2024-13-45' in quotes if it is text"),
        ("9" * 5000, "cannot be read as int"),
        ("!!int ''", "cannot be read as int"),
        ("!!bool maybe", "cannot be read as bool"),
        ("!!timestamp x", "cannot be read as timestamp"),
        ("&a [*a]", "an alias within what it refers to"),
        ("&a {b: {c: *a}}", "an alias within what it refers to"),
        ("[" * 150 + "]" * 150, "more than 100 values within each other"),
        ("[" * 3000, ""),
    ],
)
def test_a_value_that_yaml_lets_through_is_told_in_a_line(
    tmp_path: Path, value: str, message: str
) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(f"language: en\nother: {value}\n", encoding="utf-8")
    for read in (read_yaml, read_located):
        with pytest.raises(ConfigError) as raised:
            read(path)
        assert str(raised.value).startswith(str(path))
        assert message in str(raised.value)
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 400


def test_a_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("language: en\n? 2024-13-45\n: x\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"file\.yaml:2: put '2024-13-45' in quotes"):
        read_located(path)
    with pytest.raises(ConfigError, match="line 2, column 3"):
        read_yaml(path)


def test_an_alias_may_be_used_twice(tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text("a: &a [x]\nb: [*a, *a]\n", encoding="utf-8")
    assert read_yaml(path) == {"a": ["x"], "b": [["x"], ["x"]]}
    assert read_located(path)[0].plain() == read_yaml(path)
