"""What lhotse itself writes, read back; and what of it cannot be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echo_asr.audio import load_audio
from echo_asr.audio.segment import AudioSegment
from echo_asr.data.corpus import load_corpus
from echo_asr.data.readers.export import suffix_of
from echo_asr.errors import EchoError
from tests.helpers.corpora import load_without_broken

Put = Callable[..., Path]


@pytest.fixture
def lhotse() -> Any:
    return pytest.importorskip("lhotse", reason="needs the extra lhotse")


@pytest.fixture
def cuts(lhotse: Any, put: Put) -> Any:
    """Two recordings, of one and of two channels, with three supervisions each."""
    put("audio/r0.wav", 3.0), put("audio/r1.wav", 3.0, channels=2)
    here = put("audio/note").parent
    recordings = lhotse.RecordingSet.from_recordings(lhotse.Recording.from_file(here / f"r{i}.wav") for i in range(2))
    supervisions = lhotse.SupervisionSet.from_segments(
        lhotse.SupervisionSegment(
            id=f"s{i}{j}", recording_id=f"r{i}", start=float(j), duration=0.75, channel=i,
            text=f"nói {i} {j}", speaker=f"who{i}", language="vi",
        )
        for i in range(2)
        for j in range(3)
    )  # fmt: skip
    return lhotse.CutSet.from_manifests(recordings, supervisions), recordings, supervisions


def check(corpus: Any, cuts: Any) -> None:
    """The corpus says and sounds what lhotse's own supervisions do."""
    trimmed = list(cuts.trim_to_supervisions(keep_overlapping=False, keep_all_channels=False))
    assert [u.text for u in corpus.utterances] == [cut.supervisions[0].text for cut in trimmed]
    assert [u.speaker for u in corpus.utterances] == [cut.supervisions[0].speaker for cut in trimmed]
    for utterance, cut in zip(corpus.utterances, trimmed, strict=True):
        assert utterance.duration == pytest.approx(cut.duration, abs=1e-4)
        np.testing.assert_allclose(load_audio(utterance.audio), cut.load_audio()[0], atol=2e-4)


@pytest.mark.parametrize("name", ["cuts.jsonl", "cuts.jsonl.gz", "corpus_cuts_dev-clean.jsonl.gz"])
def test_cuts_of_whole_recordings(cuts: Any, tmp_path: Path, name: str) -> None:
    cuts[0].to_file(tmp_path / name)
    check(load_corpus(tmp_path / name), cuts[0])
    folder = load_corpus(tmp_path)
    check(folder, cuts[0])
    assert folder.splits == (("validation",) if "dev" in name else ("train",))


def test_cuts_of_utterances(cuts: Any, tmp_path: Path) -> None:
    trimmed = cuts[0].trim_to_supervisions(keep_overlapping=False).to_eager()
    trimmed.to_file(tmp_path / "cuts.jsonl.gz")
    corpus = load_corpus(tmp_path)
    check(corpus, cuts[0])
    assert [u.id for u in corpus.utterances] == [cut.id for cut in trimmed]


def test_recordings_and_supervisions(cuts: Any, tmp_path: Path) -> None:
    _, recordings, supervisions = cuts
    recordings.to_file(tmp_path / "x_recordings_test.jsonl.gz")
    supervisions.to_file(tmp_path / "x_supervisions_test.jsonl.gz")
    corpus = load_corpus(tmp_path)
    check(corpus, cuts[0])
    assert corpus.splits == ("test",)
    assert [u.id for u in corpus.utterances] == [s.id for s in supervisions]
    (tmp_path / "x_recordings_test.jsonl.gz").unlink()
    with pytest.raises(EchoError, match=r"whose recordings are not beside it; put x_recordings_test\.jsonl\.gz there"):
        load_corpus(tmp_path)


def test_cuts_that_are_more_than_a_segment_of_a_file(cuts: Any, lhotse: Any, tmp_path: Path) -> None:
    plain = cuts[0].trim_to_supervisions(keep_overlapping=False).to_eager()
    odd = [plain[0].pad(duration=2.0), plain[1].perturb_speed(1.1), plain[2]]
    lhotse.CutSet.from_cuts(odd).to_file(tmp_path / "cuts.jsonl")
    with pytest.warns(UserWarning, match="2 of 3 records are left out"):
        corpus = load_corpus(tmp_path, "skip")
    spoken = [b.message.split("cuts.jsonl ")[1] for b in corpus.broken]
    assert spoken[0].startswith("line 1 is mixed or padded; save it with lhotse's save_audios")
    assert spoken[1].startswith("line 2 is of a recording with transforms")


CUT: dict[str, Any] = {
    "id": "c", "start": 0.0, "duration": 1.0, "channel": 0, "type": "MonoCut",
    "supervisions": [{"id": "s", "recording_id": "r", "start": 0.0, "duration": 1.0, "channel": 0, "text": "x"}],
    "recording": {
        "id": "r", "sampling_rate": 16000, "num_samples": 16000, "duration": 1.0, "channel_ids": [0],
        "sources": [{"type": "file", "channels": [0], "source": "a.wav"}],
    },
}  # fmt: skip


def with_source(**fields: Any) -> dict[str, Any]:
    source = {**CUT["recording"]["sources"][0], **fields}
    return {**CUT, "recording": {**CUT["recording"], "sources": [source]}}


def supervised(**fields: Any) -> dict[str, Any]:
    return {**CUT, "supervisions": [{**CUT["supervisions"][0], **fields}]}


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        (with_source(type="command", source="touch ran |"), "is of a command, which Echo does not run"),
        (with_source(type="memory", source=""), "is of a recording in memory, no file"),
        (with_source(type="url", source="https://example.org/a.wav"), "is of a recording in url, no file"),
        ({**CUT, "supervisions": []}, "has no supervision; add one"),
        (supervised(text=None), "has no text; write it, empty if nobody speaks"),
        (supervised(start=2.0), r"has the times 2 to 1 s"),
        ({**CUT, "start": 3.0}, r"ends at 4 s, and its recording lasts 1\.000 s"),
        ({**CUT, "recording": 7}, "is no cut as lhotse writes it"),
        (supervised(text="\ud800"), "is not UTF-8"),
    ],
)
def test_broken_cuts(put: Put, tmp_path: Path, cut: dict[str, Any], message: str) -> None:
    put("a.wav", 1.0)
    put("cuts.jsonl", f"{json.dumps({**CUT, 'id': 'good'})}\n{json.dumps(cut)}\n")
    corpus = load_without_broken(tmp_path, rf"cuts\.jsonl line 2 {message}", "1 of 2")
    assert corpus.utterances[0].audio == tmp_path / "a.wav"
    assert not Path("ran").exists()


def test_json_lines_of_another_kind(put: Put) -> None:
    path = put("some.jsonl", '{"url": "x"}\n')
    with pytest.raises(EchoError, match=r"some\.jsonl line 1 is of another kind \(keys url\); expected lhotse's cuts"):
        load_corpus(path)


def test_shar(cuts: Any, put: Put, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "cache"))
    for split in ("train", "dev"):
        folder = put(f"shar/{split}/note").parent
        (folder / "note").unlink()
        trimmed = cuts[0].trim_to_supervisions(keep_overlapping=False).to_eager()
        trimmed.to_shar(folder, fields={"recording": "flac"}, shard_size=4)
    check(load_corpus(tmp_path / "shar" / "train"), cuts[0])
    both = load_corpus(tmp_path / "shar")
    assert [u.split for u in both.utterances] == ["validation"] * 6 + ["train"] * 6
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.flac")}
    assert len(before) == 12 and all(not isinstance(u.audio, AudioSegment) for u in both.utterances)
    load_corpus(tmp_path / "shar")  # unpacked once
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.flac")} == before
    shard = next((tmp_path / "shar" / "train").glob("recording*0.tar"))
    shard.write_bytes(shard.read_bytes()[:3000])
    refused = r"is of the shard .*cuts\.000000\.jsonl\.gz: .*recording.000000.tar is damaged .*ends within 's00"
    corpus = load_without_broken(tmp_path / "shar" / "train", refused, r"1 of 3 records are left out")
    assert len(corpus.utterances) == 2  # the other shard is read
    assert not list((tmp_path / "cache" / "shar").glob(".exporting*"))  # whole or nothing


def test_what_the_bytes_of_a_recording_say() -> None:
    found = [suffix_of(data) for data in (b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"....ftypM4A")]
    assert found == ["wav", "flac", "ogg", "mp3", "mp3", "m4a"]
    assert suffix_of(b"....", "x/Y.AMR") == "amr" and suffix_of(b"....", "../..") == "bin"
