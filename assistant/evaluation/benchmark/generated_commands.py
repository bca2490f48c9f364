"""Command files of any size, with sentences that people might say at home.

Every sentence is written out and is a command of its own, with slots of its own: what thousands of
commands cost where no template joins them. Templates cost far less: `home.en.yaml` has 1.8 billion
sentences and a smaller graph than a thousand of these.
"""

from __future__ import annotations

import random
from itertools import product

from ...errors import UsageError

LANGUAGE = "en"
VERBS = {
    "switchOn": ("turn on", "switch on", "start", "enable", "activate"),
    "switchOff": ("turn off", "switch off", "stop", "disable", "shut down"),
    "open": ("open", "unlock", "raise", "lift"),
    "close": ("close", "lock", "lower", "shut"),
    "check": ("check", "look at", "find", "tell me about", "what about"),
    "reset": ("reset", "restart", "clear"),
    "hold": ("pause", "hold"),
}
"""By intent, the ways to ask for it."""
THINGS = """
    lamp, ceiling light, floor lamp, heater, radiator, fan, air conditioner, thermostat, window,
    blind, curtain, shutter, door, garage door, gate, television, radio, speaker, projector,
    music player, printer, computer, monitor, charger, camera, alarm, smoke detector,
    motion sensor, doorbell, sprinkler, pump, oven, stove, dishwasher, washing machine, dryer,
    refrigerator, freezer, coffee machine, kettle
"""
PLACES = """
    kitchen, living room, bedroom, bathroom, hallway, attic, basement, garage, garden, office,
    nursery, guest room, dining room, laundry room, workshop, library, balcony, terrace,
    staircase, pantry
"""


def command_file(sentences: int, seed: int = 0) -> str:
    """A command file in YAML with so many different sentences, the same every time.

    Raises:
        UsageError: there are not so many.
    """
    asked = [(intent, verb) for intent, verbs in VERBS.items() for verb in verbs]
    every = list(product(asked, _listed(THINGS), _listed(PLACES)))
    if not 0 < sentences <= len(every):
        raise UsageError(f"{sentences} sentences: give 1 to {len(every)}")
    drawn = random.Random(seed).sample(every, sentences)  # noqa: S311 (no cryptography)
    blocks: dict[str, list[str]] = {}
    for (intent, verb), thing, place in drawn:
        sentence = f"{verb} the {thing} in the {place}"
        block = f"{{sentences: [{sentence}], slots: {{thing: {thing}, place: {place}}}}}"
        blocks.setdefault(intent, []).append(f"      - {block}")
    lines = [f"language: {LANGUAGE}", "intents:"]
    for intent in sorted(blocks):
        lines += [f"  {intent}:", "    data:", *blocks[intent]]
    return "\n".join(lines) + "\n"


def _listed(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]
