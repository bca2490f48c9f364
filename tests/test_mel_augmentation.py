"""Augmentation of log-mel: what each change does to the sound, and what it must not touch."""

from dataclasses import replace

import numpy as np
import soundfile
import torch

from assistant.training.batches import Batch
from assistant.training.mel_augmentation import (
    MelAugmentationConfig,
    MelAugmenter,
    noise_power,
    reverberated,
    stretch,
    warped,
)

NOTHING = MelAugmentationConfig(
    whole=0.0,
    stretch=(1.0, 1.0),
    warp=(1.0, 1.0),
    reverberation=0.0,
    noise=0.0,
    tilt_db=0.0,
    band_limit=0.0,
)


def batch_of(lengths, teacher=False):
    """Random log-mel normalised as the features are: the loudest bin is 1.5, nothing below -0.5."""
    torch.manual_seed(1)
    rows = torch.rand(len(lengths), max(lengths), 320) * 2 - 0.5
    for utterance, length in zip(rows, lengths, strict=True):
        utterance[0, 0] = 1.5
        utterance[length:] = 0
    said = torch.log_softmax(torch.randn(len(lengths), max(lengths), 7), dim=-1)
    return Batch(
        rows=rows,
        lengths=torch.tensor(lengths),
        phonemes=torch.ones(len(lengths), 3, dtype=torch.long),
        phoneme_lengths=torch.full((len(lengths),), 3),
        teacher=said if teacher else None,
    )


def test_nothing_drawn_changes_nothing():
    batch = batch_of([30, 20])
    batch.rows[:] = batch.rows.clamp(-0.5, 1.5)
    found = MelAugmenter(NOTHING, 4)(batch, np.random.default_rng(1))
    torch.testing.assert_close(found.rows, batch.rows, rtol=0, atol=1e-4)
    assert found.lengths.tolist() == [30, 20]


def test_every_draw_is_another_and_padding_stays_silent():
    batch = batch_of([30, 20], teacher=True)
    rng = np.random.default_rng(1)
    augmenter = MelAugmenter(replace(MelAugmentationConfig(), whole=0.0), 4)
    first, second = augmenter(batch, rng), augmenter(batch, rng)
    shared = min(first.rows.shape[1], second.rows.shape[1])
    assert not torch.allclose(first.rows[:, :shared], second.rows[:, :shared])
    for found in (first, second):
        assert found.rows[1, int(found.lengths[1]) :].abs().max() == 0
        assert found.teacher is not None
        assert found.teacher.shape[:2] == found.rows.shape[:2]


def test_a_stretched_batch_keeps_its_teacher_in_step():
    batch = batch_of([40, 20], teacher=True)
    slow = stretch(batch, 1.5)
    assert slow.lengths.tolist() == [60, 30]
    assert slow.rows.shape == (2, 60, 320)
    assert slow.teacher is not None
    inside = slow.teacher[1, :30].exp().sum(dim=-1)
    torch.testing.assert_close(inside, torch.ones(30), rtol=0, atol=1e-3)
    assert slow.teacher[1, 30:].abs().max() == 0
    same = stretch(batch, 1.0)
    torch.testing.assert_close(same.rows, batch.rows)


def test_a_vocal_tract_moves_the_bins():
    tone = torch.zeros(2, 1, 80)
    tone[:, 0, 40] = 1.0
    found = warped(tone, torch.tensor([1.0, 1.25]))
    assert found[0].argmax() == 40
    assert found[1].argmax() == 50


def test_a_room_hands_on_power_until_it_has_decayed():
    click = torch.zeros(1, 50, 2)
    click[0, 10] = 1.0
    heard = reverberated(click, torch.tensor([0.5]), torch.tensor([0.25]))[0, :, 0]
    assert heard[:10].max() == 0
    torch.testing.assert_close(heard[10:14], torch.tensor([1.0, 0.25, 0.125, 0.0625]))


def test_noise_is_as_loud_as_it_was_drawn():
    batch = batch_of([50])
    noise = torch.rand(1000, 80) * 1e-3
    config = replace(NOTHING, noise=1.0, babble=0.0, snr_db=(0.0, 0.0))
    found = MelAugmenter(config, 4, noise)(batch, np.random.default_rng(1))
    before = torch.pow(10, 4 * batch.rows - 4)
    after = torch.pow(10, 4 * found.rows - 4)
    # Both are relative to their loudest bin, so only the share of the noise can be compared.
    quiet_before = torch.quantile(before, 0.05) / before.mean()
    quiet_after = torch.quantile(after, 0.05) / after.mean()
    assert quiet_after > 20 * quiet_before


def test_backgrounds_are_read_as_mel_power(tmp_path):
    rng = np.random.default_rng(1)
    soundfile.write(
        tmp_path / "hum.wav", rng.standard_normal(16_000).astype(np.float32) / 9, 16_000
    )
    power = noise_power([tmp_path / "hum.wav"])
    assert power.shape == (100, 80)
    assert (power > 0).all()


def test_a_teacher_that_is_stretched_still_says_probabilities():
    batch = batch_of([100, 75, 50], teacher=True)
    for said, length in zip(batch.teacher, (100, 75, 50), strict=True):
        said[length:] = 0
    for factor in np.linspace(0.85, 1 / 0.85, 31):
        found = stretch(batch, factor)
        for said, length in zip(found.teacher, found.lengths, strict=True):
            assert said[:length].exp().sum(dim=1).sub(1).abs().max() < 1e-3
            assert (said[length:] == 0).all()
