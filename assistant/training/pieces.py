"""Long utterances in short pieces: recurrent networks train faster on wide, short batches.

A step of a recurrent layer costs as much for one utterance as for many until the processor is
full; so a hundred pieces of three seconds take half the time a second that ten utterances of ten
seconds take. Pieces are cut between phonemes, where the teacher's posteriors
align the text, so that both kinds of targets stay whole.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch

from .batches import Example
from .posterior_bank import align


def cut(example: Example, rows: int) -> list[Example]:
    """An utterance as pieces of about `rows` rows each, of its copy and its teacher alike.

    Whole stay utterances that are not longer or have a single phoneme, that no teacher has heard,
    that come in several copies (which differ in speed), and whose text does not fit.
    """
    is_short = example.length <= 1.5 * rows or len(example.phonemes) < 2
    if is_short or len(example.copies) != 1 or not example.teachers:
        return [example]
    teacher, said = example.teachers[0]
    log_probs = torch.from_numpy(teacher.rows(said).astype(np.float32))
    aligned = align(log_probs, example.phonemes, noisy=False)
    if aligned is None:
        return [example]
    starts = aligned.starts
    wanted = np.linspace(0, example.length, max(2, round(example.length / rows)) + 1)[1:-1]
    places = [int(np.abs(starts[1:-1] - row).argmin()) + 1 for row in wanted]
    edges = sorted({0, len(example.phonemes), *places})
    source, heard = example.copies[0]
    pieces = []
    for first, last in pairwise(edges):
        begin, length = int(starts[first]), int(starts[last] - starts[first])
        piece = replace(heard, start=heard.start + begin, length=length)
        taught = replace(said, start=said.start + begin, length=length)
        pieces.append(
            replace(
                example,
                copies=((source, piece),),
                teachers=((teacher, taught),),
                phonemes=example.phonemes[first:last],
            )
        )
    return pieces
