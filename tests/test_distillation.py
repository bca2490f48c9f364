"""A teacher's posteriors: kept beside the cache they were made from, and learnt from."""

import json
from itertools import islice

import numpy as np
import pytest
import tiny_bundle
import torch

from assistant.bundle import read_acoustic
from assistant.errors import UsageError
from assistant.training.batches import Batch, batches, collate
from assistant.training.feature_cache import FeatureCache
from assistant.training.losses import consistency_loss, distillation_loss
from assistant.training.material import read_material
from assistant.training.pieces import cut
from assistant.training.posteriors import extract_posteriors, network_of, score

COLUMNS = 320


def write_copy(folder, texts, seed):
    """A copy of log-mel rows in two shards, as extraction by two processes leaves it."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for rank in range(2):
        rows, entries, start = [], [], 0
        for place, text in enumerate(texts[rank::2]):
            length = 20 + int(rng.integers(10))
            rows.append(rng.standard_normal((length, COLUMNS)).astype(np.float16) / 4)
            entries.append({"place": place, "start": start, "length": length, "text": text})
            entries[-1] |= {"speaker": f"s{rank}{place}", "corpus": "made"}
            start += length
        (folder / f"rows-{rank}.f16").write_bytes(np.concatenate(rows).tobytes())
        lines = "".join(json.dumps(e) + "\n" for e in entries)
        (folder / f"index-{rank}.jsonl").write_text(lines)


@pytest.fixture
def made(tmp_path):
    """A bundle, and a cache of twelve sentences in two copies."""
    bundle = read_acoustic(tiny_bundle.build(tmp_path))
    texts = [f"turn the light {'on' if i % 2 else 'off'}" for i in range(12)]
    for seed, copy in enumerate(("clean", "augmented-1", "held-out")):
        write_copy(tmp_path / "cache" / copy, texts, seed)
    return bundle, tmp_path / "cache", tmp_path / "teacher"


def hear(bundle, cache, teacher, rows=10**6):
    for copy in ("clean", "augmented-1"):
        for rank in range(2):
            list(extract_posteriors(bundle, cache / copy, teacher / copy, rows, rank, 2, seed=1))


def test_posteriors_lie_beside_the_rows_they_were_made_from(made):
    bundle, cache, teacher = made
    hear(bundle, cache, teacher)
    material = read_material(cache, COLUMNS, "en-us", bundle.phonemes, teacher=teacher)
    assert len(material.training) == 12
    batch = collate(material.training[:5], np.random.default_rng(0))
    assert batch.teacher is not None
    assert batch.teacher.shape == (*batch.rows.shape[:2], len(bundle.phonemes))
    source, utterance = material.training[0].copies[1]
    kept, place = material.training[0].teachers[1]
    (expected,) = score(network_of(bundle), source, [utterance])
    found = torch.from_numpy(kept.rows(place).astype(np.float32))
    torch.testing.assert_close(found.exp(), expected.exp(), rtol=0, atol=0.02)


def test_what_the_teacher_did_not_hear_is_learnt_from_its_text(made):
    bundle, cache, teacher = made
    hear(bundle, cache, teacher, rows=60)
    material = read_material(cache, COLUMNS, "en-us", bundle.phonemes, teacher=teacher)
    taught = [e for e in material.training if e.teachers]
    assert 0 < len(taught) < len(material.training) == 12
    assert all(len(e.copies) == len(e.teachers) for e in taught)
    drawing = [np.random.default_rng(seed) for seed in (1, 2)]
    source = batches(material.training, 200, *drawing)
    for examples in islice(source, 20):
        assert len({bool(e.teachers) for e in examples}) == 1
        assert (collate(examples, drawing[0]).teacher is not None) == bool(examples[0].teachers)


def test_extraction_goes_on_where_it_stopped(made):
    bundle, cache, teacher = made
    hear(bundle, cache, teacher)
    folder = teacher / "clean"
    whole = (folder / "rows-0.f16").read_bytes()
    lines = (folder / "index-0.jsonl").read_text().splitlines(keepends=True)
    (folder / "index-0.jsonl").write_text("".join(lines[:2]))
    (folder / "rows-0.f16").write_bytes(whole[:-7])
    list(extract_posteriors(bundle, cache / "clean", folder, 10**6, 0, 2, seed=1))
    phonemes = len(bundle.phonemes)
    again = FeatureCache(folder, phonemes)
    assert len([u for u in again.utterances if u.shard.name == "rows-0.f16"]) == 6
    assert len((folder / "rows-0.f16").read_bytes()) == len(whole)


def test_posteriors_know_whose_they_are(made, tmp_path):
    bundle, cache, teacher = made
    hear(bundle, cache, teacher)
    with pytest.raises(UsageError, match="over other phonemes"):
        read_material(cache, COLUMNS, "en-us", bundle.phonemes[:-1], teacher=teacher)
    plan = json.loads((teacher / "plan.json").read_text())
    (teacher / "plan.json").write_text(json.dumps(plan | {"bundle": "another"}))
    with pytest.raises(UsageError, match="another bundle"):
        hear(bundle, cache, teacher)
    (teacher / "plan.json").unlink()
    with pytest.raises(UsageError, match="does not say which bundle"):
        hear(bundle, cache, teacher)
    (cache / "plan.json").write_text(json.dumps({"recordings": "", "columns": COLUMNS}))
    with pytest.raises(UsageError, match="holds no posteriors"):
        read_material(cache, COLUMNS, "en-us", bundle.phonemes, teacher=cache)


def test_only_log_mel_is_heard(made):
    bundle, cache, teacher = made
    (cache / "plan.json").write_text(json.dumps({"recordings": "", "columns": 640}))
    with pytest.raises(UsageError, match="640 columns"):
        hear(bundle, cache, teacher)
    (cache / "plan.json").unlink()
    with pytest.raises(UsageError, match="no features"):
        list(extract_posteriors(bundle, cache / "claen", teacher / "claen", 9, 0, 1, seed=1))


def test_all_processes_together_hear_so_many_rows(made):
    """Processes without a shard have no share of them."""
    bundle, cache, teacher = made
    heard = [
        sum(extract_posteriors(bundle, cache / "clean", teacher / "clean", 150, rank, 3, seed=1))
        for rank in range(3)
    ]
    assert heard[2] == 0
    assert 150 <= sum(heard) < 210


def test_the_loss_is_least_where_the_student_says_what_the_teacher_says():
    teacher = torch.log_softmax(torch.randn(2, 4, 5), dim=-1)
    teacher[1, 2:] = 0  # padding
    batch = Batch(
        rows=torch.zeros(2, 4, 1),
        lengths=torch.tensor([4, 2]),
        phonemes=torch.ones(2, 2, dtype=torch.long),
        phoneme_lengths=torch.tensor([2, 1]),
    )
    entropy = -(teacher.exp() * teacher)[0].sum() - (teacher.exp() * teacher)[1, :2].sum()
    same = distillation_loss(teacher, teacher, batch)
    assert same == pytest.approx(float(entropy) / 3, rel=1e-5)
    other = torch.log_softmax(torch.randn(2, 4, 5), dim=-1)
    assert distillation_loss(other, teacher, batch) > same


def test_two_views_that_agree_cost_nothing_and_learn_from_each_other():
    batch = Batch(
        rows=torch.zeros(4, 3, 1),
        lengths=torch.tensor([3, 1, 3, 1]),
        phonemes=torch.ones(4, 2, dtype=torch.long),
        phoneme_lengths=torch.tensor([2, 1, 2, 1]),
    )
    view = torch.log_softmax(torch.randn(2, 3, 5), dim=-1)
    assert consistency_loss(torch.cat([view, view]), batch) == 0
    other = torch.log_softmax(torch.randn(2, 3, 5), dim=-1)
    log_probs = torch.cat([view, other]).requires_grad_()
    forth, back = view.exp() * (view - other), other.exp() * (other - view)
    expected = sum(float(kl[0].sum() + kl[1, :1].sum()) for kl in (forth, back)) / 6
    loss = consistency_loss(log_probs, batch)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    # Each learns what the other says, which counts as given; padding is not learnt from.
    torch.testing.assert_close(log_probs.grad[0], -other[0].exp() / 6)
    torch.testing.assert_close(log_probs.grad[2], -view[0].exp() / 6)
    assert not log_probs.grad[1, 1:].any()


def test_pieces_say_together_what_the_utterance_says(made):
    bundle, cache, teacher = made
    hear(bundle, cache, teacher)
    (teacher / "augmented-1").rename(teacher.parent / "elsewhere")
    material = read_material(cache, COLUMNS, "en-us", bundle.phonemes, teacher=teacher)
    taught = [e for e in material.training if e.teachers]
    pieces = [(e, cut(e, 8)) for e in taught]
    assert any(len(p) > 1 for _, p in pieces)
    for whole, parts in pieces:
        assert [p for part in parts for p in part.phonemes] == list(whole.phonemes)
        batch = collate([whole], None)
        parted = [collate([part], None) for part in parts]
        torch.testing.assert_close(torch.cat([p.rows for p in parted], dim=1), batch.rows)
        said = [p.teacher for p in parted]
        torch.testing.assert_close(torch.cat(said, dim=1), batch.teacher)
        assert all(part.draws == whole.draws for part in parts)


def test_what_cannot_be_aligned_stays_whole(made):
    bundle, cache, teacher = made
    hear(bundle, cache, teacher)
    material = read_material(cache, COLUMNS, "en-us", bundle.phonemes, teacher=teacher)
    in_two_copies = material.training[0]
    assert len(in_two_copies.copies) == 2
    assert cut(in_two_copies, 5) == [in_two_copies]


def test_copies_that_no_teacher_heard_are_drawn_apart(made):
    bundle, cache, teacher = made
    hear(bundle, cache, teacher)
    (teacher / "augmented-1").rename(teacher.parent / "elsewhere")
    material = read_material(cache, COLUMNS, "en-us", bundle.phonemes, teacher=teacher)
    assert len(material.training) == 24
    assert sum(e.draws for e in material.training) == pytest.approx(12)
    taught = [e for e in material.training if e.teachers]
    assert sum(e.draws for e in taught) == pytest.approx(8)
