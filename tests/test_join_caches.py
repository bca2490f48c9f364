"""`scripts/join_caches.py`: caches side by side, and their posteriors; nobody on both sides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from script_support import script_runner

from assistant.errors import UsageError
from assistant.training.feature_cache import FeatureCache, keep_plan
from assistant.training.material import read_material

COLUMNS = 8
SAID = ("turn on the light", "stop")
INVENTORY = ["", "t", "ɜː", "n", "ɔ", "ð", "l", "p"]
SPOKEN: dict[str, object] = {"bundle": "b", "phonemes": INVENTORY}


def write_cache(
    folder: Path, people: dict[str, str], shards: int = 2, plan: dict[str, object] | None = None
) -> Path:
    """A cache of two utterances a person, in whose rows stands whose they are.

    people: what each one's speech is for: clean or held-out.
    """
    for part in sorted(set(people.values())):
        for shard in range(shards):
            (folder / part).mkdir(parents=True, exist_ok=True)
            mine = [name for name, use in people.items() if use == part][shard::shards]
            lines, rows = "", []
            for place, (name, text) in enumerate((n, t) for n in mine for t in SAID):
                rows.append(np.full((30, COLUMNS), ord(name[0]), np.float16))
                entry = {"place": place, "start": 30 * place, "length": 30, "text": text}
                lines += json.dumps(entry | {"speaker": name, "corpus": folder.name}) + "\n"
            (folder / part / f"index-{shard}.jsonl").write_text(lines)
            whole = np.concatenate(rows) if rows else np.zeros((0, COLUMNS), np.float16)
            (folder / part / f"rows-{shard}.f16").write_bytes(whole.tobytes())
    keep_plan(folder, {"recordings": folder.name, "columns": COLUMNS} | (plan or {}), 0)
    held_out = [name for name, use in people.items() if use == "held-out"]
    (folder / "held_out_speakers.txt").write_text("".join(f"{name}\n" for name in held_out))
    return folder


@pytest.fixture
def join(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Runs the script in this process."""
    return script_runner("join_caches", monkeypatch)


def test_all_of_both_is_learnt_from_and_measured_on(
    join: Callable[..., None], tmp_path: Path
) -> None:
    first = write_cache(tmp_path / "first", {"ann": "clean", "bob": "clean", "cat": "held-out"})
    second = write_cache(tmp_path / "second", {"dan": "clean", "eve": "held-out"}, shards=1)
    joined = tmp_path / "joined"
    join(first, second, "--output", joined)
    for part, names in (("clean", ["ann", "bob", "dan"]), ("held-out", ["cat", "eve"])):
        cache = FeatureCache(joined / part, COLUMNS)
        assert sorted({u.speaker for u in cache.utterances}) == names
        assert len(cache.utterances) == len(SAID) * len(names)
        for utterance in cache.utterances:
            assert (cache.rows(utterance) == ord(utterance.speaker[0])).all()
    material = read_material(joined, COLUMNS, "en-us", rarest=1)
    assert len(material.training) == 6 and material.speakers == ["cat", "eve"]
    assert (joined / "held_out_speakers.txt").read_text() == "cat\neve\n"


def test_posteriors_joined_alike_lie_beside_the_same_rows(
    join: Callable[..., None], tmp_path: Path
) -> None:
    people = ({"ann": "clean", "bob": "clean", "cat": "held-out"}, {"dan": "clean"})
    caches, teachers = [], []
    for number, speakers in enumerate(people):
        caches.append(write_cache(tmp_path / f"cache-{number}", speakers))
        # A teacher has not heard who is held out, and of the first cache one shard alone.
        heard = {name: "clean" for name, use in speakers.items() if use == "clean"}
        teachers.append(write_cache(tmp_path / f"teacher-{number}", heard, plan=SPOKEN))
    for name in ("index-1.jsonl", "rows-1.f16"):
        (teachers[0] / "clean" / name).unlink()
    join(*caches, "--output", tmp_path / "cache")
    join(*teachers, "--beside", tmp_path / "cache", "--output", tmp_path / "teacher")
    material = read_material(
        tmp_path / "cache", COLUMNS, "en-us", INVENTORY, teacher=tmp_path / "teacher"
    )
    taught = [e for e in material.training if e.teachers]
    assert len(taught) == 4
    for example in taught:
        (cache, utterance), (posteriors, said) = example.copies[0], example.teachers[0]
        assert utterance.speaker == said.speaker
        assert (posteriors.rows(said) == cache.rows(utterance)).all()


def test_what_cannot_be_joined_is_told(join: Callable[..., None], tmp_path: Path) -> None:
    first = write_cache(tmp_path / "first", {"ann": "clean", "cat": "held-out"})
    leaking = write_cache(tmp_path / "leaking", {"cat": "clean"})
    samples = write_cache(tmp_path / "samples", {"dan": "clean"}, plan={"columns": 640})
    (tmp_path / "empty").mkdir()
    for arguments, what in (
        ((first, leaking), "speaker 'cat' is held out of another cache"),
        ((first, samples), r"rows of another kind .*columns: 640 and 8"),
        ((first, tmp_path / "empty"), "is no cache"),
        ((first, tmp_path / "none"), "is no cache"),
    ):
        with pytest.raises(UsageError, match=what):
            join(*arguments, "--output", tmp_path / "joined")
        assert not (tmp_path / "joined").exists()
    with pytest.raises(UsageError, match="is there already"):
        join(first, "--output", first)
    join(first, "--output", tmp_path / "one")
    with pytest.raises(UsageError, match="was not joined of the caches"):
        join(first, first, "--beside", tmp_path / "one", "--output", tmp_path / "two")
