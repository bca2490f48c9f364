"""How well it understands: recordings through the real pipeline, and what the figures are worth.

    manifest ─► items ─► mixing ─► recogniser ─► outcome ─► journal ─► metrics ─► report
                                                                                   └─► requirements

Everything that comes out depends on the recordings, the models and a seed alone: neither on the
number of processes, nor on their order, nor on having been interrupted.
"""
