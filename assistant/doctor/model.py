"""The model: whether its files belong together, what it may do, and a recognition end to end."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..bundle_files import ACOUSTIC_WEIGHTS, CONFIG, ENCODER_FOLDER, ENCODER_WEIGHTS
from ..config import AssistantConfig
from ..daemon.commands_source import CommandsSource
from ..errors import AssistantError
from ..resources import data_folder, find_bundle, find_commands
from ..yaml_loader import read_yaml
from .check import Check, fault, from_error, good, skipped, warning

if TYPE_CHECKING:
    from ..actions import ActionPolicy
    from ..engine import Engine
    from ..types import Intent

FETCH = "fetch or train the bundle again (in a checkout: git checkout -- models; make train)"
SLOW, TOO_SLOW = 0.5, 1.0
"""Seconds of computing a second of speech from which partial results lag, and all of it does."""
SPEED_S = 3.0
"""Seconds of noise that the speed is measured with where there is no recording."""
WHOLE_S = 10.0
"""Seconds up to which a recording is taken for one utterance."""
LONGEST_S = 30.0
"""Seconds of a recording that are recognised at most."""


def check_model(
    config: AssistantConfig,
    actions: str | None,
    recording: Path | None,
    say: Callable[[str], None] = lambda line: None,
) -> Iterator[Check]:
    """Hashes, the engine, the policy, a recognition, the speed.

    Args:
        config: which bundle and commands.
        actions: the policy file; the command set's own where absent.
        recording: what is recognised; one of the tests' where absent, and there.
        say: told what takes long.

    Raises:
        AssistantError: there is no such bundle or command set.
    """
    bundle = find_bundle(config.bundle)
    source = CommandsSource(config.commands, config.bundle)
    compiled = asyncio.run(source.compiled(say))
    if compiled != config.commands:
        yield good("commands", f"{config.commands} compiles")
        config = replace(config, commands=compiled)
    commands = find_commands(config.commands, bundle)
    hashes = list(_hashes(bundle, commands))
    yield from hashes
    if any(check.remedy for check in hashes):
        return

    from ..engine import Engine  # noqa: PLC0415 - torch, which may be broken

    begin = time.perf_counter()
    try:
        engine = Engine.load(config)
    except AssistantError as error:
        yield from_error("loading", error)
        return
    intents = len(engine.commands.intents)
    seconds = time.perf_counter() - begin
    noun = "intent" if intents == 1 else "intents"
    yield good("loading", f"{bundle.name}, {commands.name}: {intents} {noun}, {seconds:.1f} s")
    try:
        policy = engine.policy(actions)
    except AssistantError as error:
        yield from_error("policy", error)
    else:
        yield _policy(policy, engine)
    yield from _recognition(engine, commands, recording)


def _hashes(bundle: Path, commands: Path) -> Iterator[Check]:
    """Which file was made for which is written down as a hash; read without torch."""
    recorded = read_yaml(bundle / CONFIG)
    acoustic = _sha256(bundle / ACOUSTIC_WEIGHTS)
    if wanted := _recorded(recorded, "encoder_sha256"):
        encoder = bundle.parent / ENCODER_FOLDER / ENCODER_WEIGHTS
        yield _same("encoder", encoder, wanted, FETCH)
    remedy = f"compile the commands again for {bundle.name} (assistant train), or {FETCH}"
    wanted = _recorded(read_yaml(commands / CONFIG), "acoustic_sha256")
    yield _same("acoustic model", bundle / ACOUSTIC_WEIGHTS, wanted, remedy, acoustic)


def _same(name: str, path: Path, wanted: str, remedy: str, found: str | None = None) -> Check:
    found = found if found is not None else _sha256(path)
    if not found:
        return fault(name, f"{path} is missing", FETCH)
    if found != wanted:
        expected = f"{wanted[:12]}…" if wanted else "nothing"
        return fault(name, f"{path} has hash {found[:12]}…, recorded is {expected}", remedy)
    return good(name, f"SHA-256 {found[:12]}…, as recorded")


def _recorded(values: object, key: str) -> str:
    return str(values.get(key, "")) if isinstance(values, Mapping) else ""


def _sha256(path: Path) -> str:
    """In hexadecimal; empty where there is no such file."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _policy(policy: ActionPolicy, engine: Engine) -> Check:
    """Whether programs that it names are there."""
    source = policy.source or "the command set"
    rules = [r for i in engine.commands.intents for r in policy.rules.get(i, ())]
    programs = {argv[0] for rule in rules if (argv := getattr(rule.action, "argv", None))}
    missing = sorted(program for program in programs if not shutil.which(program))
    acting = sum(1 for intent in engine.commands.intents if policy.rules.get(intent))
    found = f"{source}: {acting} of {len(engine.commands.intents)} intents do something"
    if missing:
        remedy = "install them, or write other programs in a policy of your own (--actions)"
        return warning("policy", f"{found}; not installed: {', '.join(missing)}", remedy)
    return good("policy", found)


def _recognition(engine: Engine, commands: Path, recording: Path | None) -> Iterator[Check]:
    expected = ""
    if recording is None and (bundled := _bundled(engine, commands)):
        recording, expected = bundled
    trial = _try(engine, recording)
    if recording is None:
        yield skipped("recognition", "no recording here; --file FILE tries one of yours")
    elif trial.intent is None:
        remedy = f"'assistant recognize --events {recording}', then 'assistant explain', say more"
        verdict = fault if expected else warning
        yield verdict("recognition", f"{recording.name}: {trial.rejected}", remedy)
    else:
        intent = trial.intent
        heard = f"{recording.name}: “{intent.text}” ({intent.name}, {intent.confidence:.2f})"
        if expected in ("", intent.name):
            yield good("recognition", heard)
        else:
            yield fault("recognition", f"{heard}; {expected} was said", FETCH)
    yield _speed(trial)


def _bundled(engine: Engine, commands: Path) -> tuple[Path, str] | None:
    """A recording of the tests, in a checkout, that says one of these commands; and its intent."""
    folder = data_folder() / "tests" / "data" / "recordings"
    if not (folder / "expected.json").is_file() or not commands.is_relative_to(data_folder()):
        return None
    shelf = "casa" if engine.commands.language.startswith("pt") else commands.name
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    for name, wanted in expected.items():
        if name.startswith(f"{shelf}/") and wanted.get("intent") in engine.commands.intents:
            return folder / name, str(wanted["intent"])
    return None


@dataclass(frozen=True)
class _Trial:
    """What a recording was taken for first, and how long that took."""

    seconds: float
    computing_s: float
    intent: Intent | None = None
    rejected: str = "nothing was said"


def _try(engine: Engine, recording: Path | None) -> _Trial:
    """Recognise a recording, or noise where there is none; once before to warm up."""
    import numpy as np  # noqa: PLC0415

    from ..recording import read_file  # noqa: PLC0415
    from ..types import SAMPLE_RATE, Recognised, Rejected  # noqa: PLC0415

    if recording is None:
        noise = np.random.default_rng(0).standard_normal(round(SPEED_S * SAMPLE_RATE))
        samples = (0.01 * noise).astype(np.float32)
    else:
        samples = read_file(recording).whole()[: round(LONGEST_S * SAMPLE_RATE)]
    length = len(samples) / SAMPLE_RATE
    whole = engine.pipeline(whole=length < WHOLE_S)
    whole.feed(samples[:SAMPLE_RATE])
    whole.reset()
    begin = time.perf_counter()
    events = [*whole.feed(samples), *whole.flush()]
    computing_s = time.perf_counter() - begin
    for event in events:
        if isinstance(event, Recognised):
            return _Trial(length, computing_s, event.intent)
        if isinstance(event, Rejected):
            return _Trial(length, computing_s, rejected=f"rejected, {event.rejection.reason}")
    return _Trial(length, computing_s)


def _speed(trial: _Trial) -> Check:
    factor = trial.computing_s / trial.seconds
    found = (
        f"{trial.seconds:.1f} s of sound took {trial.computing_s:.2f} s "
        f"(real-time factor {factor:.2f})"
    )
    remedy = "use a smaller bundle (--bundle en-us-small), threads: 2 in the configuration, a GPU"
    if factor >= TOO_SLOW:
        return fault("speed", found, remedy)
    if factor >= SLOW:
        return warning("speed", found, remedy)
    return good("speed", found)
