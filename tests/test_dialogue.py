"""Yes, no, undo and cool-down, with a clock that the test sets."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from assistant.actions import ActionRunner, Dialogue, Journal, Slots, expand, parse_policy
from assistant.actions.history import read_journal
from assistant.actions.kinds import ACTION_KINDS
from assistant.config import DialogueConfig, from_mapping
from assistant.errors import ActionError, ConfigError
from assistant.types import ActionResult, ActionStatus, Intent, SlotValue

POLICY: dict[str, Any] = {
    "light": {"deed": "light {room} on", "undo": {"deed": "light {room} off"}},
    "timer": {"deed": "timer", "cool_down_s": 5, "undo": {"deed": "no timer"}},
    "song": {"deed": "song {title}", "defaults": {"title": "any"}, "cool_down_s": 5},
    "shutdown": {"deed": "shutdown", "consequence": "serious", "undo": {"deed": "boot"}},
    "format": {"deed": "format", "consequence": "serious"},
    "close": {"deed": "close", "confirm": "when-unsure"},
    "broken": {"deed": "broken", "cool_down_s": 5},
    "stopped": {"deed": "stopped"},
    "yes": {"reply": "accept"},
    "no": {"reply": "refuse"},
    "back": {"reply": "undo"},
}


@dataclass
class Scene:
    """A dialogue, what has been done so far, and the time."""

    folder: Path
    done: list[str]
    now: float = 1000.0
    execute: bool = True
    config: DialogueConfig = field(default_factory=DialogueConfig)

    def __post_init__(self) -> None:
        policy = parse_policy({"intents": POLICY}, "policy.yaml")
        runner = ActionRunner(policy, self.execute)
        journal = Journal(self.folder)
        self.dialogue = Dialogue(runner, self.config, journal, clock=lambda: self.now)

    def say(self, name: str, confidence: float = 1.0, **slots: SlotValue) -> ActionResult:
        return self.dialogue.hear(Intent(name, slots, f"{name} please", confidence), "test")

    def told(self) -> list[tuple[str, str, str]]:
        """Intent, status and reason of each entry of the journal."""
        entries = read_journal(self.folder).entries
        return [(entry.intent, entry.status, entry.reason) for entry in entries]


@pytest.fixture
def done() -> Iterator[list[str]]:
    """What actions of the kind `deed` have done."""
    deeds: list[str] = []

    @dataclass(frozen=True)
    class Deed:
        text: str

        def templates(self) -> list[str]:
            return [self.text]

        def describe(self, slots: Slots) -> str:
            return expand(self.text, slots)

        def perform(self, slots: Slots) -> str:
            if self.text == "broken":
                raise ActionError("it is broken")
            if self.text == "stopped":
                raise KeyboardInterrupt
            deeds.append(self.describe(slots))
            return "fine"

    with patch.dict(ACTION_KINDS, deed=Deed):
        yield deeds


@pytest.fixture
def scene(tmp_path: Path, done: list[str]) -> Scene:
    return Scene(tmp_path, done)


# ── yes and no ─────────────────────────────────────────────────────────────────────────────


def test_what_needs_no_confirmation_is_done_at_once(scene: Scene) -> None:
    result = scene.say("light", room="hall")
    assert result == ActionResult("light", ActionStatus.DONE, "light hall on", "fine")
    assert scene.done == ["light hall on"]
    assert scene.told() == [("light", "done", "needs no confirmation")]


def test_a_serious_action_waits_for_a_spoken_yes(scene: Scene) -> None:
    asked = scene.say("shutdown")
    assert asked.status is ActionStatus.UNCONFIRMED
    assert asked.description == ("shutdown? (it is always confirmed first; yes or no within 10 s)")
    scene.now += 3
    pending = scene.dialogue.pending
    assert pending is not None
    assert (pending.intent, pending.description) == ("shutdown", asked.description)
    assert pending.seconds_left == 7
    assert scene.done == []
    assert scene.say("yes") == ActionResult("shutdown", ActionStatus.DONE, "shutdown", "fine")
    assert scene.dialogue.pending is None
    assert scene.told() == [("shutdown", "done", "confirmed: 'yes please' was said")]


def test_what_is_heard_badly_is_asked_about(scene: Scene) -> None:
    assert scene.say("close", confidence=0.79).status is ActionStatus.UNCONFIRMED
    assert scene.say("close", confidence=0.8).status is ActionStatus.DONE
    assert scene.told() == [
        ("close", "replaced", "close was wanted instead"),
        ("close", "done", "confidence 0.80 is sure enough"),
    ]


def test_a_yes_that_was_not_heard_well_is_asked_for_again(scene: Scene) -> None:
    asked = scene.say("shutdown")
    scene.now += 9
    again = scene.say("yes", confidence=0.79)
    assert (again.intent, again.status) == ("shutdown", ActionStatus.UNCONFIRMED)
    doubt = "confidence 0.79 is below 0.80"
    assert again.description == f"{asked.description}; a yes was not heard well: {doubt}"
    assert scene.done == []
    scene.now += 9  # from the second time it was asked
    assert scene.say("yes", confidence=0.8).status is ActionStatus.DONE
    assert scene.told()[1:] == [("yes", "refused", doubt)]
    assert scene.say("yes", confidence=0.79).description == "yes: nothing was asked"
    assert scene.done == ["shutdown"]


def test_a_no_need_not_be_heard_well(scene: Scene) -> None:
    scene.say("shutdown")
    assert scene.say("no", confidence=0.3).status is ActionStatus.REFUSED
    assert scene.dialogue.pending is None


def test_a_pressed_yes_counts_as_a_spoken_one(scene: Scene) -> None:
    scene.say("shutdown")
    assert scene.dialogue.accept(source="socket").status is ActionStatus.DONE
    assert scene.told() == [("shutdown", "done", "confirmed: yes was pressed (socket)")]


@pytest.mark.parametrize("how", ["said", "pressed", "undo said", "undo pressed"])
def test_no_means_no(scene: Scene, how: str) -> None:
    scene.say("shutdown")
    match how:
        case "said":
            result = scene.say("no")
        case "pressed":
            result = scene.dialogue.refuse()
        case "undo said":
            result = scene.say("back")
        case _:
            result = scene.dialogue.undo()
    assert (result.intent, result.status) == ("shutdown", ActionStatus.REFUSED)
    assert "shutdown (not done: " in result.description
    assert scene.say("yes").status is ActionStatus.NONE
    assert scene.done == []
    assert scene.told()[0][:2] == ("shutdown", "refused")


@pytest.mark.parametrize("name", ["yes", "no", "back"])
def test_an_answer_to_nothing_does_nothing(scene: Scene, name: str) -> None:
    result = scene.say(name)
    assert result.status is ActionStatus.NONE
    assert "nothing was" in result.description
    assert scene.dialogue.accept() == ActionResult("", ActionStatus.NONE, "nothing was asked")
    assert scene.dialogue.refuse().status is ActionStatus.NONE
    assert scene.dialogue.undo().status is ActionStatus.NONE
    assert [entry[:2] for entry in scene.told()] == [(name, "no action")]


def test_a_question_that_has_expired_is_never_performed(scene: Scene) -> None:
    scene.say("shutdown")
    scene.now += 10
    late = scene.say("yes")
    assert late.status is ActionStatus.NONE
    assert "too late" in late.description
    assert scene.dialogue.accept().status is ActionStatus.NONE
    assert scene.done == []
    assert scene.told()[0] == ("shutdown", "expired", "no answer within 10 s")


def test_looking_notices_that_a_question_has_expired(scene: Scene) -> None:
    scene.say("shutdown")
    scene.now += 11
    assert scene.dialogue.pending is None
    assert scene.told() == [("shutdown", "expired", "no answer within 10 s")]


@pytest.mark.parametrize("other", ["light", "dance", "format"])
def test_something_else_takes_the_place_of_a_question(scene: Scene, other: str) -> None:
    scene.say("shutdown")
    scene.say(other, room="hall")
    assert scene.told()[0] == ("shutdown", "replaced", f"{other} was wanted instead")
    scene.say("yes")
    assert "shutdown" not in scene.done


def test_a_button_of_an_older_question_accepts_no_newer_one(scene: Scene) -> None:
    scene.say("shutdown")
    older = scene.dialogue.pending
    scene.say("format")
    newer = scene.dialogue.pending
    assert older is not None and newer is not None
    for press in (scene.dialogue.accept, scene.dialogue.refuse):
        result = press(older.id)
        assert (result.status, result.description) == (
            ActionStatus.NONE,
            "that question is no longer open",
        )
    assert scene.done == []
    assert scene.dialogue.accept(newer.id).status is ActionStatus.DONE
    assert scene.done == ["format"]


def test_many_who_say_yes_at_once_act_once(scene: Scene) -> None:
    scene.say("shutdown")
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: scene.dialogue.accept(), range(32)))
    assert scene.done == ["shutdown"]
    assert [r.status for r in results].count(ActionStatus.DONE) == 1


def test_nobody_waits_for_a_slow_action(scene: Scene) -> None:
    under_way, let_go = threading.Event(), threading.Event()

    def slow(prepared: object) -> ActionResult:
        under_way.set()
        assert let_go.wait(10)
        return ActionResult("light", ActionStatus.DONE, "slow")

    scene.say("shutdown")
    with patch.object(scene.dialogue.runner, "carry_out", slow), ThreadPoolExecutor(1) as pool:
        slowly = pool.submit(scene.dialogue.accept)
        assert under_way.wait(10)
        assert scene.dialogue.pending is None
        assert scene.dialogue.can_undo is None
        assert scene.dialogue.refuse().status is ActionStatus.NONE
        assert scene.say("format").status is ActionStatus.UNCONFIRMED
        let_go.set()
        assert slowly.result().description == "slow"


# ── undo ───────────────────────────────────────────────────────────────────────────────────


def test_undo_performs_the_inverse_once_with_the_same_slots(scene: Scene) -> None:
    scene.say("light", room="hall")
    assert scene.dialogue.can_undo == "light hall off"
    assert scene.say("back") == ActionResult("light", ActionStatus.UNDONE, "light hall off", "fine")
    assert scene.dialogue.can_undo is None
    assert scene.say("back").status is ActionStatus.NONE
    assert scene.dialogue.undo().status is ActionStatus.NONE
    assert scene.done == ["light hall on", "light hall off"]
    assert scene.told()[:2] == [
        ("light", "done", "needs no confirmation"),
        ("light", "undone", "undo: 'back please' was said"),
    ]


def test_undo_takes_back_the_last_action_only(scene: Scene) -> None:
    scene.say("light", room="hall")
    scene.say("song")
    assert scene.dialogue.can_undo is None
    result = scene.dialogue.undo(source="socket")
    assert (result.status, result.description) == (
        ActionStatus.NONE,
        "song any: the policy has no 'undo' for it",
    )
    assert scene.done == ["light hall on", "song any"]


def test_undo_is_possible_for_a_while(scene: Scene) -> None:
    scene.say("light", room="hall")
    scene.now += 60
    assert scene.dialogue.can_undo is None
    assert "longer ago than 60 s" in scene.dialogue.undo().description
    assert scene.done == ["light hall on"]


def test_an_older_undo_button_takes_nothing_newer_back(scene: Scene) -> None:
    scene.say("light", room="hall")
    offered = scene.dialogue.can_undo
    scene.say("light", room="kitchen")
    assert offered is not None
    assert scene.dialogue.undo(offered).description == "something else was done since"
    assert scene.dialogue.undo(scene.dialogue.can_undo or "").status is ActionStatus.UNDONE
    assert scene.done[-1] == "light kitchen off"


def test_what_was_confirmed_can_be_undone(scene: Scene) -> None:
    scene.say("shutdown")
    scene.say("yes")
    assert scene.dialogue.undo(source="button").status is ActionStatus.UNDONE
    assert scene.done == ["shutdown", "boot"]
    assert scene.told()[-1] == ("shutdown", "undone", "undo: undo was pressed (button)")


def test_what_failed_is_not_undone(scene: Scene) -> None:
    scene.say("light", room="hall")
    assert scene.say("broken").status is ActionStatus.FAILED
    assert scene.dialogue.undo().description == "light hall off"


def test_an_undo_that_failed_can_be_tried_again_for_a_while(scene: Scene) -> None:
    away = ActionResult("light", ActionStatus.FAILED, "light: away")
    scene.say("light", room="hall")
    scene.now += 59
    with patch.object(scene.dialogue.runner, "take_back", return_value=away):
        assert scene.say("back") == away
    assert scene.dialogue.can_undo == "light hall off"
    assert scene.say("back").status is ActionStatus.UNDONE
    assert scene.say("back").status is ActionStatus.NONE
    assert scene.done == ["light hall on", "light hall off"]
    scene.say("light", room="hall")
    scene.now += 59
    with patch.object(scene.dialogue.runner, "take_back", return_value=away):
        scene.say("back")
    scene.now += 1  # counted from the action, not from the attempt
    assert scene.dialogue.can_undo is None
    assert "longer ago than 60 s" in scene.say("back").description


def test_what_is_done_during_an_undo_that_fails_is_the_last_action(scene: Scene) -> None:
    def slow(prepared: object) -> ActionResult:
        scene.say("timer")
        return ActionResult("light", ActionStatus.FAILED, "light: away")

    scene.say("light", room="hall")
    with patch.object(scene.dialogue.runner, "take_back", slow):
        scene.say("back")
    assert scene.dialogue.can_undo == "no timer"


def test_many_who_undo_at_once_undo_once(scene: Scene) -> None:
    scene.say("light", room="hall")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: scene.dialogue.undo(), range(32)))
    assert scene.done == ["light hall on", "light hall off"]


# ── cool-down ──────────────────────────────────────────────────────────────────────────────


def test_the_same_is_not_repeated_within_its_cool_down(scene: Scene) -> None:
    assert scene.say("song").status is ActionStatus.DONE
    scene.now += 1.5
    again = scene.say("song", title="any")  # the default, said
    assert again.status is ActionStatus.REFUSED
    assert again.description == (
        "song any (not done: not repeated within 5 s; possible again in 4 s)"
    )
    assert scene.say("song", title="another").status is ActionStatus.DONE
    scene.now += 3.5
    assert scene.say("song").status is ActionStatus.DONE
    assert scene.done == ["song any", "song another", "song any"]
    refused = ("song", "refused", "not repeated within 5 s; possible again in 4 s")
    assert scene.told()[1] == refused


def test_what_is_under_way_is_not_begun_again(scene: Scene) -> None:
    under_way, let_go = threading.Event(), threading.Event()

    def slow(prepared: object) -> ActionResult:
        under_way.set()
        assert let_go.wait(10)
        return ActionResult("song", ActionStatus.DONE, "slow")

    with patch.object(scene.dialogue.runner, "carry_out", slow), ThreadPoolExecutor(1) as pool:
        first = pool.submit(scene.say, "song")
        assert under_way.wait(10)
        scene.now += 100
        assert "the same is under way" in scene.say("song").description
        let_go.set()
        first.result()
    scene.now += 4
    assert scene.say("song").status is ActionStatus.REFUSED  # its pause begins as it ends


def test_what_failed_or_was_taken_back_may_be_tried_again(scene: Scene) -> None:
    assert scene.say("broken").status is ActionStatus.FAILED
    assert scene.say("broken").status is ActionStatus.FAILED
    scene.say("timer")
    assert scene.say("timer").status is ActionStatus.REFUSED
    scene.say("back")
    assert scene.say("timer").status is ActionStatus.DONE


# ── the rest ───────────────────────────────────────────────────────────────────────────────


def test_a_dry_run_asks_and_undoes_but_does_nothing(tmp_path: Path, done: list[str]) -> None:
    scene = Scene(tmp_path, done, execute=False)
    assert scene.say("shutdown").status is ActionStatus.UNCONFIRMED
    assert scene.say("yes") == ActionResult("shutdown", ActionStatus.DRY_RUN, "shutdown")
    assert scene.say("back") == ActionResult("shutdown", ActionStatus.DRY_RUN, "boot")
    assert done == scene.told() == []  # nor is it in the journal


def test_an_intent_without_an_action_is_told(scene: Scene) -> None:
    assert scene.say("dance") == ActionResult("dance", ActionStatus.NONE, "dance: no action")
    assert scene.say("light").status is ActionStatus.FAILED
    assert [entry[:2] for entry in scene.told()] == [("dance", "no action"), ("light", "failed")]


def test_what_is_stopped_from_outside_is_told_as_interrupted(scene: Scene) -> None:
    with pytest.raises(KeyboardInterrupt):
        scene.say("stopped")
    assert scene.told() == [("stopped", "interrupted", "needs no confirmation")]


def test_a_dialogue_needs_no_journal(scene: Scene) -> None:
    runner = scene.dialogue.runner
    dialogue = Dialogue(runner, DialogueConfig())
    assert dialogue.hear(Intent("song", {}, "", 1.0)).status is ActionStatus.DONE


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"confirmation_timeout_s": 0}, "confirmation_timeout_s: expected 0.001 or more, found 0"),
        ({"undo_timeout_s": -1}, "undo_timeout_s: expected 0 or more, found -1"),
        ({"wait": 1}, "unknown key 'wait'; one of: confirmation_timeout_s, undo_timeout_s, "),
    ],
)
def test_times_that_are_none_are_refused(values: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        from_mapping(DialogueConfig, values, "config.yaml: dialogue")
    assert message in str(raised.value)
