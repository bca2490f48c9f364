"""Write the tables of documents anew from the reports that they name.

    python scripts/document_evaluation.py docs/evaluation.md models/en-us/CARD.md

A document says which reports it is made from (`<!-- reports: evaluation/en-us.json -->`), and has
the lines `<!-- evaluation:begin -->` and `<!-- evaluation:end -->`. Reports are made by `assistant
evaluate … --json`. Likewise for what the benchmark measured (`scripts/benchmark.py --json`):
`<!-- benchmark: evaluation/benchmark.json -->`. A test holds the documents against both.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from assistant.errors import AssistantError
from assistant.evaluation.benchmark.documented import figures_of, write_figures
from assistant.evaluation.documented import write_tables


def main() -> None:
    """Read, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("documents", type=Path, nargs="+")
    for document in parser.parse_args().documents:
        if figures_of(document) is not None:
            write_figures(document)
        else:
            write_tables(document)


if __name__ == "__main__":
    try:
        main()
    except AssistantError as error:
        sys.exit(f"error: {error}")
