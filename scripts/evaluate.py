"""Measure how well recordings are understood: `assistant evaluate`, as a script.

python scripts/evaluate.py --help
torchrun --nproc-per-node 2 scripts/evaluate.py orders.jsonl --commands coffee --json out.json
"""

import sys

from assistant.cli import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
