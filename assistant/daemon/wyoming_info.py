"""What a Wyoming server says it can do, as Home Assistant looks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wyoming.info import (
    AsrModel,
    AsrProgram,
    Attribution,
    HandleModel,
    HandleProgram,
    Info,
    IntentModel,
    IntentProgram,
)

from .wyoming_service import WyomingService

NAME = "assistant"
_ATTRIBUTION = Attribution("the authors of assistant", "")


def info_of(service: WyomingService) -> Info:
    """Speech to text and text to intent; text to action where the service acts."""
    engine = service.streams.engine
    acoustic, commands = engine.acoustic.folder.name, Path(engine.config.commands).name
    model = _artifact(service, acoustic, f"voice commands: {commands}")
    model["languages"] = service.languages
    program = _artifact(service, NAME, "voice commands that run wholly on this machine")
    # It tells voice-stopped, but waits for audio-stop: to end the audio is left to the client.
    asr = AsrProgram(
        **program,
        models=[AsrModel(**model)],
        supports_transcript_streaming=True,
        requires_external_vad=True,
    )
    intent = IntentProgram(**program, models=[IntentModel(**model)])
    handle = HandleProgram(**program, models=[HandleModel(**model)], supports_home_control=True)
    return Info(asr=[asr], intent=[intent], handle=[handle] if service.act else [])


def _artifact(service: WyomingService, name: str, description: str) -> dict[str, Any]:
    return {
        "name": name,
        "attribution": _ATTRIBUTION,
        "installed": True,
        "description": description,
        "version": service.version,
    }
