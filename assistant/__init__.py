"""Voice commands that run wholly on the user's own machine.

    microphone │ file │ pipe        audio       blocks of samples, 16 kHz mono
            ↓
    webrtcvad + level gate          vad         SpeechStart, SpeechAudio…, SpeechEnd
            ↓
    log-mel → streaming encoder     features    FeatureChunk (T, D), a row per 40 ms
            ↓
    latency-controlled bi-GRU, CTC  acoustic    PosteriorChunk (T, P)
            ↓
    LSTM + command graph            intent      Hypothesis, or a Rejection with its reason
            ↓
    policy, then argv / HTTP / log  actions     ActionResult

`pipeline` knows this order, `engine` reads what it needs, `cli` is what people use:

    from assistant.config import AssistantConfig
    from assistant.engine import Engine

    pipeline = Engine.load(AssistantConfig(commands="home")).pipeline()
    for event in [*pipeline.feed(samples), *pipeline.flush()]:
        print(event)

Nothing is imported here, so that `import assistant` costs nothing.
"""

__version__ = "0.1.0"
