"""`configs/actions.yaml`, with what `configs/commands/home.en.yaml` can say."""

from __future__ import annotations

from pathlib import Path

import pytest

from assistant.actions import ActionRunner, load_policy
from assistant.types import ActionResult, ActionStatus, Intent, SlotValue
from assistant.yaml_loader import read_yaml

SHIPPED = Path(__file__).parents[1] / "configs" / "actions.yaml"
HOME = "http://localhost:8123/api/services"


@pytest.mark.parametrize(
    ("intent", "slots", "description"),
    [
        (
            "setLight",
            {"state": "on", "room": "living room"},
            f'POST {HOME}/light/turn_on with Authorization {{"entity_id": "light.living_room"}}',
        ),
        (
            "setBrightness",
            {"brightness": 30},
            f"POST {HOME}/light/turn_on with Authorization "
            '{"entity_id": "all", "brightness_pct": 30}',
        ),
        (
            "setColour",
            {"colour": "red", "room": "kitchen"},
            f"POST {HOME}/light/turn_on with Authorization "
            '{"entity_id": "light.kitchen", "color_name": "red"}',
        ),
        (
            "setColour",
            {"colour": "warm white"},
            f"POST {HOME}/light/turn_on with Authorization "
            '{"entity_id": "all", "color_temp_kelvin": 2700}',
        ),
        (
            "setTemperature",
            {"temperature": 20.5, "room": "bedroom"},
            f"POST {HOME}/climate/set_temperature with Authorization "
            '{"entity_id": "climate.bedroom", "temperature": 20.5}',
        ),
        (
            "setTimer",
            {"minutes": 5},
            "systemd-run --user --collect --unit=assistant-timer-0h5m0s '--on-active=0h 5min 0s' "
            "--timer-property=AccuracySec=100ms notify-send --urgency=critical 'Time is up' "
            "'The timer over 0 h 5 min 0 s has ended.'",
        ),
        ("cancelTimer", {}, "systemctl --user stop 'assistant-timer-*.timer'"),
        ("askTime", {}, "date +%H:%M"),
        ("askDate", {}, "date '+%A, %-d %B %Y'"),
        ("setVolume", {"level": 40}, "volume to 40 %"),
        ("changeVolume", {"direction": "up"}, "volume up by 5 %"),
        ("changeVolume", {"direction": "unmute"}, "volume unmute"),
        ("mediaControl", {"command": "next"}, "player: next"),
        ("openApplication", {"application": "text editor"}, "open org.gnome.TextEditor"),
        ("openSite", {"site": "wikipedia"}, "open https://www.wikipedia.org/"),
        ("controlWindow", {"operation": "close"}, "close the active window"),
        ("controlWindow", {"operation": "maximize"}, "maximize the active window"),
        ("switchWorkspace", {"workspace": 1}, "go to workspace 1"),
        ("switchWorkspace", {"direction": "previous"}, "go to workspace previous"),
        ("takeScreenshot", {}, "gnome-screenshot"),
        ("lockScreen", {}, "loginctl lock-session"),
        (
            "orderDrink",
            {"coffeeDrink": "latte", "size": "large"},
            "latte: large, any roast, usual shots, no milk, no sugar",
        ),
    ],
)
def test_the_shipped_policy(intent: str, slots: dict[str, SlotValue], description: str) -> None:
    runner = ActionRunner(load_policy(SHIPPED), execute=False)
    result = runner.perform(Intent(intent, slots, "", 1.0))
    assert result == ActionResult(intent, ActionStatus.DRY_RUN, description)


@pytest.mark.parametrize(
    ("intent", "slot", "others"),
    [
        ("setLight", "room", {"state": "off"}),
        ("setBrightness", "room", {"brightness": 1}),
        ("setColour", "room", {"colour": "red"}),
        ("setColour", "colour", {}),
        ("setTemperature", "room", {"temperature": 20}),
        ("openApplication", "application", {}),
        ("openSite", "site", {}),
        ("switchWorkspace", "direction", {}),
    ],
)
def test_the_shipped_policy_knows_what_the_shipped_commands_can_say(
    intent: str, slot: str, others: dict[str, SlotValue]
) -> None:
    runner = ActionRunner(load_policy(SHIPPED), execute=False)
    values = read_yaml(SHIPPED.parent / "commands" / "home.en.yaml")["lists"][slot]["values"]
    said = {value if isinstance(value, str) else value["out"] for value in values}
    results = [runner.perform(Intent(intent, {**others, slot: v}, "", 1.0)) for v in said]
    refused = [r.description for r in results if r.status is not ActionStatus.DRY_RUN]
    assert not refused


@pytest.mark.parametrize("intent", ["confirm", "deny", "cancel", "neverMind"])
def test_answers_do_nothing_on_their_own(intent: str) -> None:
    runner = ActionRunner(load_policy(SHIPPED), execute=True)
    assert runner.perform(Intent(intent, {}, "", 1.0)).status is ActionStatus.NONE
