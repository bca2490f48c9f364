"""What the assistant costs on this machine: `scripts/benchmark.py`, a part a module.

Every figure is a ratio or a percentile of one run. What needs a process of its own (start-up,
memory) runs in a fresh one, see `child`.
"""
