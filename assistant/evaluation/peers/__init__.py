"""Peers: what a user would pick instead, on the same recordings and the same commands.

    samples ─┬─► whisper ─► text ─► nearest (alignment with the word network) ─┬─► Decision
             └─► pocketsphinx, which hears the network itself as jsgf ─────────┘

    samples ───► endpointing: webrtcvad and Silero cut the same noise into utterances

Each needs the extra `peers`, and says so where it is absent. At a confidence below the assistant's
own threshold (0.5) a peer's answer is refused, too: of sentences read aloud that are no commands
the nearest command is farther away than that almost always.
"""
