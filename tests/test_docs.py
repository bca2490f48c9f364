"""The documentation says what is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from assistant.actions import Confirm, read_actions
from assistant.cli import app
from assistant.config import AssistantConfig, load
from assistant.grammar.commands import load_commands
from assistant.training.examples import check_examples
from assistant.training.pronouncing import warn_of_unused

ROOT = Path(__file__).parent.parent


def yaml_blocks(document):
    """The YAML of a document, by the name in its first line; a block without one is an error."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = dict(re.findall(r"^```yaml\n(?=# ([\w.]+\.yaml)\b)(.*?)^```$", text, re.M | re.S))
    assert len(blocks) == text.count("```yaml"), f"{document}: a block has no name of its own"
    return blocks


COMMAND_FILES = yaml_blocks("docs/commands.md")


def test_the_command_line_reference_is_current(tmp_path):
    written = tmp_path / "cli.md"
    generator = [sys.executable, "-m", "typer", "assistant.cli", "utils", "docs"]
    arguments = ["--name", "assistant", "--output", str(written)]
    subprocess.run([*generator, *arguments], check=True, capture_output=True, cwd=ROOT)
    assert written.read_text() == (ROOT / "docs/cli.md").read_text(), "run: make docs"


def test_the_reference_of_the_configuration_is_current(tmp_path):
    written = tmp_path / "configuration.md"
    generator = [sys.executable, "scripts/document_configuration.py", "--output", str(written)]
    subprocess.run(generator, check=True, capture_output=True, cwd=ROOT)
    text = written.read_text(encoding="utf-8")
    assert text == (ROOT / "docs/configuration.md").read_text(encoding="utf-8"), "run: make docs"


def test_the_example_of_the_configuration_loads(tmp_path):
    [(name, block)] = yaml_blocks("docs/configuration.md").items()
    (tmp_path / name).write_text(block, encoding="utf-8")
    assert load(tmp_path / name) != AssistantConfig()


@pytest.mark.parametrize("name", COMMAND_FILES)
def test_every_command_file_of_the_guide_loads_without_a_warning(name, tmp_path, caplog):
    path = tmp_path / name
    path.write_text(COMMAND_FILES[name], encoding="utf-8")
    commands = load_commands([path])
    check_examples(commands)
    read_actions(commands.actions, commands.slots_of)
    warn_of_unused(commands)
    assert not caplog.records
    assert not commands.left_out


def test_the_readme_names_every_command_and_no_other():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `assistant (\w+)", readme, re.MULTILINE))
    assert documented == set(get_command(app).commands)


def test_the_example_of_the_readme_can_be_trained_and_answers_what_it_asks(tmp_path, caplog):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    written = re.search(r"```yaml\n(# kitchen\.yaml\n.*?)```", readme, re.DOTALL)
    kitchen = tmp_path / "kitchen.yaml"
    kitchen.write_text(written[1], encoding="utf-8")
    commands = load_commands([kitchen])
    check_examples(commands)
    rules = read_actions(commands.actions, commands.slots_of).rules
    assert rules.keys() == set(commands.intents)
    assert not caplog.records  # of what asks and cannot be answered
    assert any(rule.confirm is not Confirm.NEVER for of in rules.values() for rule in of)


def test_every_link_and_script_in_the_documents_is_there():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        text = document.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (document.parent / target).exists(), f"{document.name}: {target}"
        for script in re.findall(r"scripts/\w+\.py", text):
            assert (ROOT / script).exists(), f"{document.name}: {script}"
