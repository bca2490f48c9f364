"""The documentation says what is there."""

import re
import subprocess
import sys
from pathlib import Path

from typer.main import get_command

from assistant.cli import app

ROOT = Path(__file__).parent.parent


def test_the_command_line_reference_is_current(tmp_path):
    written = tmp_path / "cli.md"
    generator = [sys.executable, "-m", "typer", "assistant.cli", "utils", "docs"]
    arguments = ["--name", "assistant", "--output", str(written)]
    subprocess.run([*generator, *arguments], check=True, capture_output=True, cwd=ROOT)
    assert written.read_text() == (ROOT / "docs/cli.md").read_text(), "run: make docs"


def test_the_readme_names_every_command_and_no_other():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `assistant (\w+)", readme, re.MULTILINE))
    assert documented == set(get_command(app).commands)


def test_every_link_and_script_in_the_documents_is_there():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
        for script in re.findall(r"scripts/\w+\.py", text):
            assert (ROOT / script).exists(), f"{document.name}: {script}"
