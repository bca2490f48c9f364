"""From intent to deed: a policy file says which action each intent stands for, and no other.

    Intent ──policy──▸ Rule ──defaults, map──▸ slot values ──▸ log │ run │ … ──▸ ActionResult

    dialogue.py       asks before what needs it, takes yes, no and undo
    question.py       what was asked, and waits for an answer
    cool_down.py      what is not repeated at once
    runner.py         performs what the policy says, or in a dry run only describes it
    journal.py        what was heard, what was done about it and why; history.py reads it
    policy.py         which rules an intent has; reads and checks the policy file
    rule.py           when an action applies and is confirmed, what takes it back, its slot values
    written.py        what command files say their intents do, checked against what can be said
    kinds.py          the kinds of action there are, and how to add one
    log.py, run.py, http.py, home_assistant.py, mqtt.py, reply.py, desktop/
                      one kind each, named as in the policy file; those of the desktop
    placeholders.py, json_template.py
                      `{slot}` in a text, and in the texts of a JSON value
    environment.py, limits.py, process.py, text.py
                      what the kinds have in common

What was said is data. A slot value is put in place once, after the policy was parsed: it becomes
one argument of a program (there is no shell), one percent-encoded piece of a URL, or one JSON
value. It can choose neither the program, nor the host, nor a header, nor (see `RunAction`) an
option. A further kind of action is a frozen dataclass under `@action_kind("name")`.
"""

from .dialogue import Dialogue
from .journal import Journal
from .kinds import Action, action_kind
from .placeholders import Slots, expand
from .policy import ActionPolicy, load_policy, parse_policy
from .question import Pending
from .rule import Confirm, Consequence, Rule
from .runner import ActionRunner
from .written import read_actions

__all__ = [
    "Action",
    "ActionPolicy",
    "ActionRunner",
    "Confirm",
    "Consequence",
    "Dialogue",
    "Journal",
    "Pending",
    "Rule",
    "Slots",
    "action_kind",
    "expand",
    "load_policy",
    "parse_policy",
    "read_actions",
]
