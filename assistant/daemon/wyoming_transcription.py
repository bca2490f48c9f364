"""A transcription: the audio of one utterance or more, and the events that it is answered by.

    audio-start, audio-chunk …        voice-started, voice-stopped         as it is heard
                                      transcript-start                     once something is certain
                                      transcript-chunk                     for each command
    audio-stop                        transcript, transcript-stop          exactly once

A client puts the chunks together and takes none back, so a chunk is only what was decided: a
command that was understood. The transcript is all of them, and empty where there were none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from wyoming.asr import Transcript, TranscriptChunk, TranscriptStart, TranscriptStop
from wyoming.audio import AudioChunk
from wyoming.error import Error
from wyoming.event import Eventable
from wyoming.vad import VoiceStarted, VoiceStopped

from ..errors import AssistantError
from ..types import (
    SAMPLE_RATE,
    Confirmed,
    Contradicted,
    Event,
    Hypothesis,
    Intent,
    Recognised,
    Rejected,
    Rejection,
    Samples,
    SpeechStarted,
)
from .facts import intent_fact
from .hub import Fact
from .streams import Stream, Streams
from .wyoming_audio import PcmDecoder, PcmFormat

PIECE_S = 0.25
"""Seconds of a chunk taken at a time: a long one holds up nobody."""


class Transcription:
    """What is heard between `audio-start` and `audio-stop`; nothing is ever done about it."""

    def __init__(
        self,
        streams: Streams,
        source: str,
        send: Callable[[Eventable], None],
        language: str,
        start_ms: int = 0,
        refusal: str | None = None,
    ) -> None:
        """language: of the commands. start_ms: what the client calls the time of the first sample.
        refusal: why its audio is not listened to, where the client was told so already."""
        self._streams = streams
        self._source = source
        self._send = send
        self._language = language
        self._start_ms = start_ms
        self._reason = refusal or "no audio came"
        self._refused = refusal is not None
        self._stream: Stream | None = None
        self._decoder: PcmDecoder | None = None
        self._early: Intent | None = None
        self._understood: list[Intent] = []
        self._begun = False

    async def feed(self, chunk: AudioChunk) -> None:
        """Take audio; waits while too much of it waits already. The format may change."""
        if self._refused:
            return
        try:
            stream = self._opened()
            audio_format = PcmFormat(chunk.rate, chunk.width, chunk.channels)
            if self._decoder is None or self._decoder.format != audio_format:
                decoder = PcmDecoder(audio_format)
                await self._drain_decoder(stream)
                self._decoder = decoder
            size = max(1, round(PIECE_S * self._decoder.bytes_per_second))
            for at in range(0, len(chunk.audio), size):
                await _pass_on(stream, self._decoder.feed(chunk.audio[at : at + size]))
        except AssistantError as error:
            self._refuse(error)

    async def finish(self) -> None:
        """The audio is over: hear the rest of it, and send the transcript."""
        if self._stream is not None and not self._refused:
            try:
                await self._drain_decoder(self._stream)
                await self._stream.finish()
            except AssistantError as error:
                self._refuse(error)
        await self.close()
        self._begin()
        text = " ".join(intent.text for intent in self._understood)
        self._send(Transcript(text, self._context(), self._language))
        self._send(TranscriptStop())

    async def close(self) -> None:
        """Give up what has not been heard yet."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    def _opened(self) -> Stream:
        if self._stream is None:
            self._stream = self._streams.new(self._source, self._tell)
            self._reason = "nothing was said"
        return self._stream

    async def _drain_decoder(self, stream: Stream) -> None:
        if self._decoder is not None:
            await _pass_on(stream, self._decoder.flush())

    def _refuse(self, error: AssistantError) -> None:
        self._refused = True
        self._reason = str(error)
        self._send(Error(str(error), "audio"))

    def _context(self) -> Fact:
        if not self._understood:
            return {"reason": self._reason}
        return {"intents": [intent_fact(intent) for intent in self._understood]}

    # ── what is heard ──

    def _tell(self, event: Event) -> None:
        match event:
            case SpeechStarted(start):
                self._send(VoiceStarted(self._milliseconds(start)))
            case Recognised(_, end, intent, _, early):
                self._early = intent
                if not early:
                    self._decided(end, intent)
            case Confirmed(_, end):
                self._decided(end, self._early)
            case Rejected(_, end, decision) | Contradicted(_, end, _, decision):
                self._decided(end, decision)

    def _decided(self, end: int, decision: Intent | Hypothesis | Rejection | None) -> None:
        self._send(VoiceStopped(self._milliseconds(end)))
        match decision:
            case Rejection(reason):
                self._reason = reason
                return
            case Hypothesis(name, slots, text, confidence):
                decision = Intent(name, slots, text, confidence)
        if isinstance(decision, Intent):
            self._begin()
            self._send(TranscriptChunk((" " if self._understood else "") + decision.text))
            self._understood.append(decision)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._send(TranscriptStart(language=self._language))

    def _milliseconds(self, samples: int) -> int:
        return self._start_ms + round(1000 * samples / SAMPLE_RATE)


async def _pass_on(stream: Stream, heard: list[Samples]) -> None:
    for samples in heard:
        await stream.feed(samples)
    await asyncio.sleep(0)  # a stream with room does not wait, and others have their turn
