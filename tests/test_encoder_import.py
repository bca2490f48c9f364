"""Parity of the imported encoder with CTranslate2's own output, and the import of made-up files.

Parity runs where the `train` extra is installed: it brings CTranslate2 and the original weights.
"""

import runpy
import struct

import numpy as np
import pytest
import torch
from script_support import SCRIPTS, load_script

from assistant.bundle import read_encoder
from assistant.config import FeatureConfig
from assistant.errors import UsageError
from assistant.features import FeatureExtractor, normalise
from assistant.nn.encoder import EncoderShape, StreamingEncoder
from assistant.recording import read_file
from assistant.resources import data_folder
from assistant.training.pseudo_labels import join_wheels


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """The folder of Whisper base as CTranslate2 reads it."""
    pytest.importorskip("ctranslate2", reason="the train extra is not installed")
    folder = tmp_path_factory.mktemp("whisper")
    try:
        join_wheels(folder)
    except UsageError as error:
        pytest.skip(str(error))
    return folder


def test_rows_are_those_of_ctranslate2(original, data):
    ctranslate2 = pytest.importorskip("ctranslate2")
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


# ── made-up files ──────────────────────────────────────────────────────────────────────────

TYPES = {np.dtype(name): i for i, name in enumerate(("float32", "int8", "int16", "int32"))}


class Names(dict):
    """Variables each of which is its own name; one layer."""

    def __missing__(self, name):
        return name


def text(name):
    return struct.pack("<H", len(name) + 1) + name.encode() + b"\0"


def write_model(path, variables):
    """A CTranslate2 file of version 6."""
    parts = [struct.pack("<I", 6), text("WhisperSpec"), struct.pack("<II", 3, len(variables))]
    for name, value in variables.items():
        shape = struct.pack(f"<B{value.ndim}I", value.ndim, *value.shape)
        parts += [text(name), shape, struct.pack("<BI", TYPES[value.dtype], value.nbytes)]
        parts.append(value.tobytes())
    path.write_bytes(b"".join(parts))


def quantised(name, value, kind):
    """Matrices as CTranslate2 keeps them: int8 with a scale a row, int16 with one for all."""
    if kind == "float32" or value.ndim < 2 or not name.endswith("/weight"):
        return {name: value}
    if kind == "int16":
        scale = np.float32(2**10 / np.abs(value).max()).reshape(())
    else:
        scale = 127 / np.abs(value).reshape(len(value), -1).max(1)
    by_row = scale.reshape(-1, *[1] * (value.ndim - 1))
    return {name: np.rint(value * by_row).astype(kind), f"{name}_scale": scale}


@pytest.fixture
def script(monkeypatch, tmp_path):
    """The script, which imports `model.bin` of the test's folder into `encoder`."""
    arguments = ["import_encoder.py", str(tmp_path / "model.bin"), "-o", str(tmp_path / "encoder")]
    monkeypatch.setattr("sys.argv", arguments)
    return load_script("import_encoder", monkeypatch)


@pytest.fixture
def whisper(script):
    """A small random encoder, and its weights by CTranslate2's names."""
    torch.manual_seed(0)
    encoder = StreamingEncoder(EncoderShape(width=64, heads=1, layers=1)).state_dict()
    names = script.from_ctranslate2(Names({"encoder/layer_0/ffn": ""}))
    return encoder, {names[ours]: value.numpy() for ours, value in encoder.items()}


@pytest.mark.parametrize("kind", ["float32", "int16", "int8"])
def test_integers_are_divided_by_their_scale(script, whisper, tmp_path, kind):
    encoder, theirs = whisper
    packed = [quantised(name, value, kind) for name, value in theirs.items()]
    write_model(tmp_path / "model.bin", {n: v for part in packed for n, v in part.items()})
    script.main()
    made = read_encoder(tmp_path / "encoder").state_dict()
    for name, value in encoder.items():
        assert torch.linalg.norm(made[name] - value) <= 0.02 * torch.linalg.norm(value), name


def test_what_cannot_be_imported_is_one_line(script, whisper, tmp_path):
    path = tmp_path / "model.bin"
    _, theirs = whisper
    for variables, what in (
        ({"encoder/conv1/weight": np.ones((2, 2, 2), np.int8)}, "integers and no scale"),
        ({"model/weight": np.ones(2, np.float32)}, "no 'encoder/position_encodings/encodings'"),
        ({n: v for n, v in theirs.items() if "ffn" not in n}, "no 'encoder/layer_0/ffn"),
    ):
        write_model(path, variables)
        with pytest.raises(UsageError, match=what):
            script.main()
    path.unlink()
    with pytest.raises(UsageError, match=r"model\.bin: cannot be read: No such file"):
        script.main()
    path.write_bytes(struct.pack("<I", 5))
    with pytest.raises(SystemExit, match=r"^error: not a CTranslate2 file of version 6 \(found 5"):
        runpy.run_path(str(SCRIPTS / "import_encoder.py"), run_name="__main__")
