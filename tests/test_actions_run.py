from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from action_support import mistake, perform
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant.actions.limits import OUTPUT_LIMIT
from assistant.actions.process import DEFAULT_ENVIRONMENT
from assistant.types import ActionStatus

PRINT_ARGUMENTS = "import json, sys; print(json.dumps(sys.argv[1:]))"
PRINT_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"

any_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def python(code: str, *arguments: str) -> list[str]:
    return [
        sys.executable,
        "-I",
        "-S",
        "-c",
        code.replace("{", "{{").replace("}", "}}"),
        *arguments,
    ]


@settings(max_examples=30, deadline=None)
@given(first=any_text, second=any_text)
def test_a_value_arrives_as_one_literal_argument(first: str, second: str) -> None:
    rule = {"run": python(PRINT_ARGUMENTS, "fixed", "--name={a}", "{{{a}}}", "--", "{a}", "{b}")}
    result = perform(rule, a=first, b=second)
    assert result.status is ActionStatus.DONE, result.description
    expected = ["fixed", f"--name={first}", f"{{{first}}}", "--", first, second]
    assert json.loads(result.output) == expected


def test_numbers_arrive_as_written_by_people() -> None:
    result = perform({"run": python(PRINT_ARGUMENTS, "{a}%", "{b}", "{c}")}, a=50, b=21.0, c=0.5)
    assert json.loads(result.output) == ["50%", "21", "0.5"]


@pytest.mark.parametrize("argument", ["{value}", "{value}%", "{empty}{value}"])
def test_a_value_that_could_be_an_option_is_refused(argument: str) -> None:
    result = perform({"run": python(PRINT_ARGUMENTS, argument)}, value="--output=x", empty="")
    assert result.status is ActionStatus.FAILED
    assert "'--output=x" in result.description
    assert f"write '--' before '{argument}' or --name={argument}" in result.description


def test_two_dashes_allow_only_the_placeholders_that_follow_at_once() -> None:
    rule = {"run": python(PRINT_ARGUMENTS, "--", "{a}", "fixed", "{b}")}
    assert json.loads(perform(rule, a="-x", b="y").output) == ["--", "-x", "fixed", "y"]
    assert perform(rule, a="x", b="-y").status is ActionStatus.FAILED


def test_a_value_cannot_say_two_dashes_itself() -> None:
    rule = {"run": python(PRINT_ARGUMENTS, "{a}", "{b}")}
    assert perform(rule, a="--", b="-y").status is ActionStatus.FAILED


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_what_cannot_be_an_argument_is_refused(value: str) -> None:
    result = perform({"run": python(PRINT_ARGUMENTS, "{value}")}, value=value)
    assert result.status is ActionStatus.FAILED
    assert "slot 'value' = " in result.description
    assert "NUL or is not valid text" in result.description


def test_only_named_variables_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    monkeypatch.setenv("WANTED", "2")
    monkeypatch.delenv("DISPLAY", raising=False)
    rule = {"run": {"argv": python(PRINT_ENVIRONMENT), "environment": ["WANTED", "NOT_SET"]}}
    seen = json.loads(perform(rule).output)
    assert seen["WANTED"] == "2"
    assert seen["PATH"] == os.environ["PATH"]
    # LC_CTYPE is set by Python itself
    assert seen.keys() - {"LC_CTYPE"} <= {*DEFAULT_ENVIRONMENT, "WANTED"}


def test_the_input_is_closed() -> None:
    result = perform({"run": python("import sys; print(repr(sys.stdin.read()))")})
    assert result.output == "''"


def test_the_output_is_bounded_and_still_read_to_its_end() -> None:
    result = perform({"run": python("print('x' * 1_000_000); print('y' * 1_000_000)")})
    assert result.status is ActionStatus.DONE
    assert result.output == "x" * OUTPUT_LIMIT


def test_the_time_out_kills_the_children_too(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    rule = {"argv": ["sh", "-c", f"sleep 600 & echo $! > '{note}'; wait"], "timeout_s": 0.5}
    result = perform({"run": rule})
    assert result.status is ActionStatus.FAILED
    assert "did not end within 0.5 s and was killed" in result.description
    _wait_until(lambda: _ended(int(note.read_text())))


def test_a_program_that_closes_its_output_is_timed_out_as_well() -> None:
    code = "import os, time; os.close(1); os.close(2); time.sleep(600)"
    result = perform({"run": {"argv": python(code), "timeout_s": 0.3}})
    assert "was killed" in result.description


def test_what_is_left_in_the_background_neither_delays_nor_is_killed() -> None:
    code = (
        "import subprocess, sys\n"
        "child = [sys.executable, '-I', '-c', 'import time; time.sleep(600)']\n"
        "print(subprocess.Popen(child).pid)"
    )
    result = perform({"run": {"argv": python(code), "timeout_s": 60.0}})
    assert result.status is ActionStatus.DONE
    os.kill(int(result.output), signal.SIGKILL)  # it is there


def test_a_detached_program_goes_on(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    code = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    result = perform({"run": {"argv": python(code), "detach": True}})
    assert result.status is ActionStatus.DONE
    assert result.description.endswith("(detached)")
    _wait_until(lambda: note.exists() and note.read_text() != "")
    os.kill(int(note.read_text()), signal.SIGKILL)  # it is there


def test_a_detached_program_that_fails_at_once_is_noticed() -> None:
    rule = {"run": {"argv": ["false"], "detach": True}}
    assert perform(rule).description == "test: 'false' ended with status 1"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["no-such-program-here"], "'no-such-program-here' was not found: install it, or change"),
        (["/"], "'/' cannot be started: Permission denied"),
        (python("import sys; sys.exit('first\\nno sound card')"), "status 1: no sound card"),
        (python("import os; os.kill(os.getpid(), 15)"), "was ended by Terminated (15)"),
    ],
)
def test_failures_are_one_clear_line(argv: list[str], message: str) -> None:
    result = perform({"run": argv})
    assert result.status is ActionStatus.FAILED
    assert message in result.description
    assert result.description.isprintable()


def _ended(pid: int) -> bool:
    """Whether the process is gone, or a zombie whose new parent has not looked yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state in "ZX"


def _wait_until(condition: Callable[[], bool]) -> None:
    """Returns once the system has caught up; fails if it never does."""
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    pytest.fail("it did not happen")


def test_a_dry_run_describes_and_does_nothing(tmp_path: Path) -> None:
    target = str(tmp_path / "it's here")
    result = perform({"run": ["touch", "{path}"]}, execute=False, path=target)
    assert result.status is ActionStatus.DRY_RUN
    assert result.description == f"touch '{tmp_path}/it'\"'\"'s here'"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"run": "mute -a 'b'"}, 'no shell: write ["mute", "-a", "\'b\'"]'),
        ({"run": {"argv": "ls", "timeout_s": 1}}, "run: argv is a list, since there is no shell"),
        ({"run": []}, "run: argv is empty: write the program"),
        ({"run": [""]}, "run: argv is empty: write the program"),
        ({"run": ["sleep", 5]}, "run: argument 5 is not text: put it in quotes"),
        ({"run": ["{program}"]}, "run: the program may not depend on a slot"),
        ({"run": ["a", "b\0"]}, "run: an argument has a NUL byte"),
        ({"run": {"timeout_s": 5}}, "run: 'argv' is missing: write run: {argv: …}"),
        ({"run": {"argv": ["a"], "shell": True}}, "run: unknown key 'shell'; one of: argv,"),
        ({"run": {"argv": ["a"], "timeout_s": "5"}}, "run: timeout_s: expected float, found '5'"),
        ({"run": {"argv": ["a"], "timeout_s": 0}}, "run: timeout_s is 0: write seconds, more"),
        ({"run": {"argv": ["a"], "timeout_s": float("nan")}}, "run: timeout_s is nan"),
        ({"run": {"argv": ["a"], "environment": "HOME"}}, "a list of names: write [HOME]"),
        ({"run": {"argv": ["a"], "environment": ["A=1"]}}, "'A=1' is no variable's name"),
        ({"run": {"argv": ["a"], "detach": "yes"}}, "run: detach: expected bool, found 'yes'"),
    ],
)
def test_mistakes_are_explained(rule: Any, message: str) -> None:
    assert message in mistake(rule)
