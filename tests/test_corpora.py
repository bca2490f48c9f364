"""Corpora in their published layouts, made small here, and the extraction of what they hold."""

import json
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from assistant.errors import AudioFileError, UsageError
from assistant.training import corpora
from assistant.training.extraction import Extraction
from assistant.training.feature_cache import FeatureCache
from assistant.training.manifest import Split, read_samples, split_by_speaker
from assistant.training.rows import LogMelRows

COLUMNS = 320


def sound(path, seconds=0.5, rate=16000):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(len(path.name)).uniform(-0.1, 0.1, int(seconds * rate))
    soundfile.write(path, noise, rate)
    return path


@pytest.fixture
def librispeech(tmp_path):
    folder = tmp_path / "LibriSpeech"
    for speaker, chapter in (("19", "198"), ("19", "227"), ("26", "495")):
        place = folder / "train-clean-100" / speaker / chapter
        names = [f"{speaker}-{chapter}-000{n}" for n in range(2)]
        for name in names:
            sound(place / f"{name}.flac", seconds=0.75)
        lines = "".join(f"{name} NORTHANGER ABBEY\n" for name in names)
        (place / f"{speaker}-{chapter}.trans.txt").write_text(lines)
    return folder


@pytest.fixture
def common_voice(tmp_path):
    folder = tmp_path / "cv-corpus-21.0" / "en"
    lines = ["client_id\tpath\tsentence_id\tsentence\tup_votes"]
    for n in range(3):
        sound(folder / "clips" / f"common_voice_en_{n}.mp3", rate=32000)
        lines.append(f'speaker{n % 2}\tcommon_voice_en_{n}.mp3\t{n}\tA "quoted" text, {n}.\t2')
    (folder / "validated.tsv").write_text("\n".join(lines) + "\n")
    (folder / "train.tsv").write_text("\n".join(lines[:2]) + "\n")
    return folder


@pytest.fixture
def common_voice_1(tmp_path):
    folder = tmp_path / "cv_corpus_v1"
    for part in ("cv-valid-dev", "cv-valid-test", "cv-other-dev"):
        sound(folder / part / "sample-000000.mp3", rate=48000)
        line = f'{part}/sample-000000.mp3,"alas, said {part}",1,0,twenties,,scotland,'
        header = "filename,text,up_votes,down_votes,age,gender,accent,duration"
        (folder / f"{part}.csv").write_text(f"{header}\n{line}\n")
    return folder


@pytest.fixture
def speech_commands(tmp_path):
    folder = tmp_path / "speech_commands"
    for name in ("yes/0a_nohash_0", "yes/0b_nohash_1", "no/0a_nohash_0"):
        sound(folder / f"{name}.wav", seconds=1)
    sound(folder / "_background_noise_" / "pink_noise.wav", seconds=2)
    (folder / "README.md").write_text("Speech Commands")
    return folder


def test_librispeech_is_read(librispeech):
    for folder in (librispeech, librispeech / "train-clean-100"):
        corpus = corpora.librispeech(folder)
        assert len(corpus.recordings) == 6
        assert corpus.recordings[0].path.name == "19-198-0000.flac"
        assert {r.speaker for r in corpus.recordings} == {"19", "26"}
        assert {r.corpus for r in corpus.recordings} == {"librispeech_train_clean_100"}
        assert {r.text for r in corpus.recordings} == {"NORTHANGER ABBEY"}
        assert all(r.seconds == 0.75 for r in corpus.recordings)


def test_common_voice_is_read(common_voice):
    recordings = corpora.common_voice(common_voice).recordings
    assert [r.speaker for r in recordings] == ["speaker0", "speaker1", "speaker0"]
    assert recordings[2].text == 'A "quoted" text, 2.'
    assert recordings[0].seconds == pytest.approx(0.5, abs=0.1)
    assert len(corpora.common_voice(common_voice, "train").recordings) == 1


def test_the_first_release_of_common_voice_is_read_where_it_is_valid(common_voice_1):
    recordings = corpora.common_voice_1(common_voice_1).recordings
    assert [r.text for r in recordings] == ["alas, said cv-valid-dev", "alas, said cv-valid-test"]
    assert {(r.speaker, r.corpus) for r in recordings} == {("", "common_voice_1")}
    table = common_voice_1 / "cv-valid-test.csv"
    table.write_text("filename,text\ncv-valid-test/a.mp3\n")
    with pytest.raises(UsageError, match=r"cv-valid-test.csv:2: expected a filename and a text"):
        corpora.common_voice_1(common_voice_1)
    table.write_text('filename,text\na.mp3,"' + "never closed\n" * 20_000)
    with pytest.raises(UsageError, match=r"cv-valid-test.csv:\d+: field larger .*; mend"):
        corpora.common_voice_1(common_voice_1)


def test_speech_commands_are_read_without_their_noise(speech_commands):
    recordings = corpora.speech_commands(speech_commands).recordings
    said = sorted((r.text, r.speaker, r.seconds) for r in recordings)
    assert said == [("no", "0a", 1.0), ("yes", "0a", 1.0), ("yes", "0b", 1.0)]


@pytest.mark.parametrize(
    "read",
    [corpora.librispeech, corpora.common_voice, corpora.common_voice_1, corpora.speech_commands],
)
def test_a_folder_of_another_layout_is_one_line(read, tmp_path):
    sound(tmp_path / "other" / "music.wav")
    for folder in (tmp_path / "other", tmp_path / "nowhere"):
        with pytest.raises(UsageError, match="expected") as error:
            read(folder)
        assert str(error.value).startswith(str(folder))
        assert "\n" not in str(error.value)


def test_missing_and_damaged_files_are_counted_and_said(librispeech, common_voice):
    (gone, damaged) = sorted(librispeech.rglob("*.flac"))[:2]
    gone.unlink()
    damaged.write_bytes(b"no audio")
    corpus = corpora.librispeech(librispeech)
    assert len(corpus.recordings) == 4
    assert [line.split()[0] for line in corpus.left_out] == [str(gone), str(damaged)]
    assert f"2 left out, the first of them {gone} (missing)" in corpus.summary
    for clip in common_voice.glob("clips/*"):
        clip.unlink()
    with pytest.raises(UsageError, match=r"no recordings \(3 left out.*\(missing\)"):
        corpora.common_voice(common_voice)


def test_a_broken_line_is_named(librispeech, common_voice):
    table = common_voice / "validated.tsv"
    table.write_text(table.read_text() + "speaker9\tcommon_voice_en_9.mp3\n")
    with pytest.raises(UsageError, match=r"validated.tsv:5: expected 5 columns .* found 2"):
        corpora.common_voice(common_voice)
    table.write_text("path\tsentence\n")
    with pytest.raises(UsageError, match=r"validated.tsv:1: .* client_id"):
        corpora.common_voice(common_voice)
    transcript = next(librispeech.rglob("26-495.trans.txt"))
    transcript.write_text("26-495-0000\n")
    with pytest.raises(UsageError, match=r"26-495.trans.txt:1: expected '26-"):
        corpora.librispeech(librispeech)


def test_the_tables_there_are_are_named(common_voice):
    with pytest.raises(UsageError, match=r"dev.tsv .* it has the tables train, validated"):
        corpora.common_voice(common_voice, "dev")


def test_a_manifest_says_what_is_missing(tmp_path):
    sound(tmp_path / "here.wav")
    path = tmp_path / "manifest.jsonl"
    entries = [{"path": f"{p}.wav", "text": "x", "seconds": 0.5} for p in ("here", "gone")]
    path.write_text("\n".join(map(json.dumps, entries)))
    corpus = corpora.manifest(path)
    assert [r.path.name for r in corpus.recordings] == ["here.wav"]
    assert "1 left out" in corpus.summary
    with pytest.raises(UsageError, match="no such manifest"):
        corpora.manifest(tmp_path / "nothing.jsonl")


@pytest.fixture
def extractor():
    return LogMelRows()


@pytest.fixture
def split(librispeech, speech_commands):
    found = [corpora.librispeech(librispeech), corpora.speech_commands(speech_commands)]
    everything = [r for corpus in found for r in corpus.recordings]
    return Split(
        tuple(r for r in everything if r.speaker != "26"),
        tuple(r for r in everything if r.speaker == "26"),
    )


def test_extraction_writes_every_part_and_the_split(split, extractor, tmp_path):
    cache = tmp_path / "cache"
    extraction = Extraction(split, cache, extractor, copies=1)
    total = 2 * sum(r.seconds for r in split.training) + sum(r.seconds for r in split.held_out)
    assert extraction.seconds_left() == total
    assert sum(seconds for _, seconds in extraction.run()) == pytest.approx(total)
    assert (cache / "held_out_speakers.txt").read_text() == "26\n"
    counts = {p.name: len(FeatureCache(p, COLUMNS).utterances) for p in cache.glob("*/")}
    assert counts == {"held-out": 2, "clean": 7, "augmented-1": 7}
    assert {u.speaker for u in FeatureCache(cache / "held-out", COLUMNS).utterances} == {"26"}


def test_extraction_goes_on_where_it_stopped(split, extractor, tmp_path):
    def rows(folder):
        return {p.parent.name: p.read_bytes() for p in folder.glob("*/rows-0.f16")}

    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    list(Extraction(split, whole, extractor).run())
    started = Extraction(split, stopped, extractor).run()
    assert [next(started)[0] for _ in range(2)] == ["held-out", "clean"]
    started.close()
    again = Extraction(split, stopped, extractor)
    assert again.seconds_left() == sum(r.seconds for r in split.training)
    list(again.run())
    assert rows(stopped) == rows(whole)
    assert not list(Extraction(split, stopped, extractor).run())


def test_processes_share_the_recordings(split, extractor, tmp_path):
    for rank in range(2):
        list(Extraction(split, tmp_path / "cache", extractor, 0, rank=rank, world=2).run())
    clean = FeatureCache(tmp_path / "cache" / "clean", COLUMNS)
    assert len(clean.utterances) == len(clean.by_place()) == len(split.training)


def test_a_cache_of_other_recordings_is_refused(split, extractor, tmp_path):
    list(Extraction(split, tmp_path / "cache", extractor, copies=0).run())
    fewer = Split(split.training[1:], split.held_out)
    with pytest.raises(UsageError, match="extracted from other recordings"):
        Extraction(fewer, tmp_path / "cache", extractor, copies=0)
    with pytest.raises(UsageError, match="no recording is left to train on"):
        Extraction(Split((), split.held_out), tmp_path / "new", extractor)


def test_nobody_held_out_leaves_an_empty_cache_that_can_be_read(split, extractor, tmp_path):
    everybody = split_by_speaker((*split.training, *split.held_out), percent=0)
    list(Extraction(everybody, tmp_path / "cache", extractor, copies=0).run())
    assert not FeatureCache(tmp_path / "cache" / "held-out", COLUMNS).utterances
    assert (tmp_path / "cache" / "held_out_speakers.txt").read_text() == ""


def test_a_damaged_recording_keeps_its_place_without_rows(librispeech, tmp_path):
    found = corpora.librispeech(librispeech).recordings
    whole = found[1].path.read_bytes()
    found[1].path.write_bytes(whole[: len(whole) // 2])
    soundfile.write(found[4].path, np.zeros(0), 16000)
    extraction = Extraction(Split(found, ()), tmp_path / "cache", LogMelRows(), copies=1)
    list(extraction.run())
    assert extraction.damaged() == [found[1].path, found[4].path]
    assert extraction.seconds_left() == 0
    for copy in ("clean", "augmented-1"):
        cache = FeatureCache(tmp_path / "cache" / copy, COLUMNS)
        assert sorted(u.place for u in cache.utterances) == [0, 2, 3, 5]


def test_what_a_corpus_lists_and_holds_no_sound_is_left_out(speech_commands, tmp_path):
    empty = speech_commands / "no" / "0c_nohash_0.wav"
    soundfile.write(empty, np.zeros(0), 16000)
    found = corpora.speech_commands(speech_commands)
    assert found.left_out == (f"{empty} (empty)",)
    (tmp_path / "noise.wav").write_text("no sound")
    (tmp_path / "noise.raw").write_bytes(bytes(2_000))
    paths = [found.recordings[0].path, tmp_path / "noise.wav", tmp_path / "noise.raw"]
    lines = [json.dumps({"path": str(p), "text": "one"}) + "\n" for p in paths]
    (tmp_path / "manifest.jsonl").write_text("".join(lines))
    corpus = corpora.manifest(tmp_path / "manifest.jsonl")
    assert [r.path for r in corpus.recordings] == paths[:1]
    assert corpus.left_out == tuple(f"{path} (empty or damaged)" for path in paths[1:])
    with pytest.raises(AudioFileError, match=r"noise\.raw: raw PCM does not tell its rate; fetch"):
        read_samples(paths[2])


def test_what_a_stop_left_half_written_is_extracted_again(librispeech, tmp_path):
    """Half a line of the index, and an index that names rows which the disk had no room for."""
    found = corpora.librispeech(librispeech).recordings
    # An end of a line to `str.splitlines`, not to JSON.
    found = tuple(replace(r, text="NORTHANGER\u2028ABBÉ") for r in found)

    def extract():
        list(Extraction(Split(found, ()), tmp_path / "cache", LogMelRows(), copies=0).run())
        return [(tmp_path / "cache/clean" / name) for name in ("index-0.jsonl", "rows-0.f16")]

    index, rows = extract()
    entries, sound = index.read_bytes(), rows.read_bytes()
    for end in (-20, entries.rindex("É".encode()) + 1):  # within a letter, too
        index.write_bytes(entries[:end])
        assert len(FeatureCache(index.parent, COLUMNS).utterances) == 5
        extract()
        assert (index.read_bytes(), rows.read_bytes()) == (entries, sound)
    rows.write_bytes(sound[: len(sound) // 2])
    extract()
    assert (index.read_bytes(), rows.read_bytes()) == (entries, sound)
