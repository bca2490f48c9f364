"""`run`: a program."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import ActionError
from .environment import check_names, variables
from .limits import check_timeout
from .placeholders import Slots, expand, placeholders
from .process import DEFAULT_ENVIRONMENT, ProgramTimeoutError, run_to_end, start_detached


@dataclass(frozen=True)
class RunAction:
    """Run a program: an argument list, never a shell.

    Each entry of `argv` arrives as exactly one argument. A value that begins with `-` could still
    be taken for an option (`--output=…`), and no program asks where its options came from, so by
    default it is refused. The author allows it where it is harmless: by `--` before the
    placeholder, for programs that end their options there, or by `--name={slot}`, where the value
    cannot be anything else. Refusing rather than only warning: commands rarely need such a
    value, and the one that has it was not foreseen.
    """

    argv: Sequence[str]
    """The program and its arguments; placeholders everywhere but in the program."""
    timeout_s: float = 5.0
    """Seconds after which the program and its whole process group are killed."""
    environment: Sequence[str] = ()
    """Names of variables it sees besides `DEFAULT_ENVIRONMENT`."""
    detach: bool = False
    """For what stays open, like a browser: output is dropped, and what still runs after
    `process.DETACH_GRACE_S` is done and left alone."""

    def __post_init__(self) -> None:
        if isinstance(self.argv, str):
            words = ", ".join(json.dumps(word) for word in self.argv.split())
            raise ValueError(f"argv is a list, since there is no shell: write [{words}]")
        for argument in self.argv:
            if not isinstance(argument, str):
                raise ValueError(f"argument {argument!r} is not text: put it in quotes")
        if not self.argv or not self.argv[0]:
            raise ValueError("argv is empty: write the program and its arguments")
        if "{" in self.argv[0]:
            raise ValueError(
                f"the program may not depend on a slot: write a name for {self.argv[0]!r}, "
                "and a rule with 'when' for each program"
            )
        if any("\0" in argument for argument in self.argv):
            raise ValueError("an argument has a NUL byte: remove it")
        check_timeout(self.timeout_s)
        check_names(self.environment)

    def templates(self) -> Iterable[str]:
        """See `Action`."""
        return self.argv

    def arguments(self, slots: Slots) -> list[str]:
        """The argument list with slot values in place.

        Raises:
            ActionError: a slot is absent, or its value would begin an argument with `-`.
        """
        arguments: list[str] = []
        after_dashes = False
        for template in self.argv:
            argument = expand(template, slots)
            after_dashes = template == "--" or (after_dashes and bool(placeholders(template)))
            if argument.startswith("-") and not (template.startswith("-") or after_dashes):
                raise ActionError(
                    f"{argument!r} could be taken for an option of {self.argv[0]}; to allow it, "
                    f"write '--' before {template!r} or --name={template}"
                )
            arguments.append(argument)
        return arguments

    def describe(self, slots: Slots) -> str:
        """The command as one could type it; quoted for display only."""
        return shlex.join(self.arguments(slots)) + (" (detached)" if self.detach else "")

    def perform(self, slots: Slots) -> str:
        """Run it, with closed input, in a process group of its own; returns standard output.

        What it leaves in the background after it ended itself goes on undisturbed.
        """
        argv = self.arguments(slots)
        environment = variables((*DEFAULT_ENVIRONMENT, *self.environment))
        if self.detach:
            start_detached(argv, environment)
            return ""
        try:
            return run_to_end(argv, environment, self.timeout_s)
        except ProgramTimeoutError as error:
            hint = "set 'detach: true' if it is meant to stay open"
            raise ActionError(f"{error}, and {hint}") from error
