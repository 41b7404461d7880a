"""Encoders in folders and in the hub's cache, what is wrong with them in one line, and how models keep them."""

import errno
import hashlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from echo_asr.errors import EchoError
from echo_asr.pretrained import hub, pickles
from echo_asr.pretrained.kept import has_encoder, keep, kept
from echo_asr.pretrained.licence import find_licence, is_non_commercial
from echo_asr.pretrained.source import Source, find
from echo_asr.pretrained.weights import digest, read_preprocessor, read_tensors
from echo_asr.storage import pack, unpack
from tests.helpers.slow import slow

pytest.importorskip("huggingface_hub")
COMMIT, OTHER = "a" * 40, "b" * 40
REPO = "someone/whisper-nano"
CARD = "---\nlanguage: [en, zh]\nlicense: mit\n---\n# A card\n"
CONFIG = {"model_type": "whisper", "d_model": 8}
TENSORS = {
    "model.encoder.conv1.weight": torch.arange(12.0).reshape(3, 4) / 7,
    "model.encoder.layer_norm.bias": torch.tensor(0.1),
    "model.encoder.steps": torch.tensor([3, 70_000]),
    "model.decoder.embed.weight": torch.ones(5, 2),
}
Fill = Callable[..., Path]


def fill(folder: Path, weights: bool = True, **config: Any) -> Path:
    """Write a folder of transformers."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({**CONFIG, **config}))
    (folder / "preprocessor_config.json").write_text('{"feature_size": 80}')
    (folder / "README.md").write_text(CARD)
    if weights:
        (folder / "model.safetensors").write_bytes(pack(TENSORS))
    return folder


def fill_parts(folder: Path) -> Path:
    """Write the same folder with its tensors in two files."""
    fill(folder, weights=False)
    names = sorted(TENSORS)
    parts = {f"model-0000{n}-of-00002.safetensors": names[2 * n - 2 : 2 * n] for n in (1, 2)}
    for part, own in parts.items():
        (folder / part).write_bytes(pack({name: TENSORS[name] for name in own}))
    index = {"weight_map": {name: part for part, own in parts.items() for name in own}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def pickled(folder: Path, content: Any = None) -> Path:
    """Write the same folder with its tensors as a pickle."""
    fill(folder, weights=False)
    torch.save(TENSORS if content is None else content, folder / "pytorch_model.bin")
    return folder


class Touching:
    """Makes a file when it is loaded from a pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache of the test's own, without the network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "echo"))
    return tmp_path / "hub"


def cached(cache: Path, repo: str = REPO, commit: str = COMMIT, write: Fill = fill, **options: Any) -> Path:
    """A model in the layout of the hub's cache, as the main branch."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    snapshot = write(folder / "snapshots" / commit, **options)
    blobs = folder / "blobs"
    blobs.mkdir(exist_ok=True)
    for path in list(snapshot.iterdir()):
        blob = blobs / hashlib.sha256(path.read_bytes()).hexdigest()
        path.replace(blob)
        path.symlink_to(blob)
    (folder / "refs").mkdir(exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    return snapshot


class Hub:
    """Stands in for the network: a repository that is fetched file by file, and what was asked for."""

    def __init__(self, cache: Path, files: Path) -> None:
        self.cache, self.files, self.asked = cache, files, []
        self.error: Exception | None = None

    def snapshot_download(self, repo: str, revision: str | None, allow_patterns: list[str]) -> str:
        folder = self.cache / f"models--{repo.replace('/', '--')}"
        snapshot = folder / "snapshots" / OTHER
        snapshot.mkdir(parents=True, exist_ok=True)
        (folder / "refs").mkdir(exist_ok=True)
        (folder / "refs" / "main").write_text(OTHER)
        for path in self.files.iterdir():
            if any(path.match(pattern) for pattern in allow_patterns):
                self.asked.append(path.name)
                (snapshot / path.name).write_bytes(path.read_bytes())
        return str(snapshot)

    def model_info(self, repo: str, revision: str | None, files_metadata: bool) -> Any:
        if self.error is not None:
            raise self.error
        return SimpleNamespace(
            siblings=[SimpleNamespace(rfilename=path.name, size=path.stat().st_size) for path in self.files.iterdir()]
        )


@pytest.fixture
def network(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """A hub with one repository, whose files are in `there`."""
    there = Hub(cache, fill(tmp_path / "there"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", there.snapshot_download)
    monkeypatch.setattr("huggingface_hub.HfApi", lambda: there)
    return there


def http_error(kind: str, status: int = 404) -> Exception:
    from huggingface_hub import errors

    request = SimpleNamespace(url="https://huggingface.co", method="GET")
    response: Any = SimpleNamespace(headers={}, status_code=status, request=request)
    error: Exception = getattr(errors, kind)("a long\nmessage", response=response)
    return error


# Folders


def test_a_folder_is_its_own_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = fill(tmp_path / "encoder")
    monkeypatch.chdir(tmp_path)
    found = find("encoder")
    assert found == Source(folder, str(folder), "", digest(folder), "mit")
    assert found == find(folder) and found.describe() == f"{folder}, licence mit"


def test_the_hash_is_of_what_the_encoder_computes_with(tmp_path: Path) -> None:
    one = digest(fill(tmp_path / "one"))
    assert one == digest(fill_parts(tmp_path / "parts")) == find(tmp_path / "parts").digest
    (tmp_path / "one" / "README.md").write_text("another card")
    (tmp_path / "one" / "config.json").write_text(json.dumps(CONFIG, indent=4))
    assert digest(tmp_path / "one") == one
    others = [digest(fill(tmp_path / "two", d_model=16))]
    for name, value in (
        ("model.encoder.layer_norm.bias", torch.tensor(0.2)),
        ("model.encoder.steps", torch.tensor([3, 70_000], dtype=torch.int32)),
        ("model.encoder.conv1.weight", TENSORS["model.encoder.conv1.weight"].reshape(4, 3)),
        ("model.encoder.conv2.weight", torch.ones(1)),
    ):
        (tmp_path / "one" / "model.safetensors").write_bytes(pack({**TENSORS, name: value}))
        others.append(digest(tmp_path / "one"))
    assert len({one, *others}) == 6


def test_the_preprocessor_stands_where_transformers_4_or_5_writes_it(tmp_path: Path) -> None:
    folder = fill(tmp_path / "encoder")
    before = digest(folder)
    assert read_preprocessor(folder) == {"feature_size": 80}
    nested = {"feature_extractor": {"feature_size": 80}, "processor_class": "Any"}
    (folder / "processor_config.json").write_text(json.dumps(nested))
    (folder / "preprocessor_config.json").unlink()
    assert read_preprocessor(folder) == {"feature_size": 80} and digest(folder) == before
    (folder / "processor_config.json").unlink()
    assert read_preprocessor(folder) == {} and digest(folder) != before


def test_what_is_wrong_with_a_folder_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "encoder"
    with pytest.raises(EchoError, match="no such folder; give one that transformers wrote, or OWNER/REPO"):
        find(folder)
    folder.mkdir()
    with pytest.raises(EchoError, match="no config.json there; give a folder of transformers"):
        find(folder)
    fill(folder, weights=False, model_type="wisper")
    with pytest.raises(EchoError, match="type 'wisper', which is no encoder that Echo knows; did you mean whisper"):
        find(folder)
    fill(folder, weights=False, model_type="zzz")
    with pytest.raises(EchoError, match="type 'zzz'.*; known: hubert, moonshine"):
        find(folder)
    fill(folder, weights=False)
    with pytest.raises(EchoError, match="no model.safetensors there"):
        find(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(EchoError, match="config.json: cannot be read .*fetch it again"):
        find(folder)


@pytest.mark.parametrize("size", [0, 5, 100, 300])
def test_weights_that_are_cut_off_are_refused(size: int, tmp_path: Path) -> None:
    path = fill(tmp_path / "encoder") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(EchoError, match="model.safetensors: damaged or cut off .*fetch it again"):
        find(tmp_path / "encoder")


def test_what_git_leaves_of_weights_is_refused(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
    (fill(tmp_path / "encoder") / "model.safetensors").write_text(pointer)
    with pytest.raises(EchoError, match="only a pointer to the weights; run in its folder: git lfs pull"):
        find(tmp_path / "encoder")


def test_a_part_that_is_missing_or_elsewhere_is_refused(tmp_path: Path) -> None:
    folder = fill_parts(tmp_path / "encoder")
    (folder / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(EchoError, match="model-00002-of-00002.safetensors is missing, which its index names"):
        find(folder)
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../model.safetensors"}}')
    with pytest.raises(EchoError, match="names no files beside it"):
        find(folder)


# Licences


@pytest.mark.parametrize(
    ("card", "licence"),
    [
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
        ("---\r\ntags:\r\n- license\r\nlicense: cc-by-nc-4.0\r\n---\r\n", "cc-by-nc-4.0"),
        ("---\nlicense:\n- mit\n- cc-by-4.0\n---\n", "mit, cc-by-4.0"),
        ("---\nlicense: other\nlicense_name: nvidia-open\n---\n", "nvidia-open"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense: [\n---\n", "MIT License"),
        ("license: apache-2.0", "MIT License"),
        (None, "MIT License"),
    ],
)
def test_the_licence_is_that_of_the_card_else_of_its_file(card: str | None, licence: str, tmp_path: Path) -> None:
    assert find_licence(tmp_path) == "unknown"
    (tmp_path / "LICENSE.txt").write_text("\n\n  MIT  License\n\nCopyright (c) 2022")
    if card is not None:
        (tmp_path / "README.md").write_bytes(card.encode())
    assert find_licence(tmp_path) == licence


@pytest.mark.parametrize(
    ("licence", "forbidden"),
    [
        ("cc-by-nc-4.0", True),
        ("cc-by-nc-sa-3.0", True),
        ("CC BY-NC 4.0", True),
        ("Attribution-NonCommercial 4.0 International", True),
        ("mit, cc_by_nc", True),
        ("some-research-only", True),
        ("cc-by-4.0", False),
        ("apache-2.0", False),
        ("Incorporated Licence", False),
        ("unknown", False),
    ],
)
def test_licences_that_forbid_commerce_are_known(licence: str, forbidden: bool, tmp_path: Path) -> None:
    assert is_non_commercial(licence) == forbidden
    line = Source(tmp_path, REPO, COMMIT, "", licence).describe()
    assert ("forbids commercial use" in line) == forbidden
    assert ("look at its card" in line) == (licence == "unknown")
    assert line.startswith(f"{REPO}@aaaaaaaaaaaa, licence {licence}")


# The hub


def test_a_model_of_the_cache_is_found_without_the_network(cache: Path) -> None:
    snapshot = cached(cache)
    found = find(REPO)
    assert found == Source(snapshot, REPO, COMMIT, digest(snapshot), "mit")
    assert found == find(f"{REPO}@{COMMIT}") == find(REPO, COMMIT) == find(f"{REPO}@main")


def test_a_pinned_revision_of_the_cache_needs_no_network(cache: Path, network: Hub) -> None:
    snapshot = cached(cache)
    network.error = AssertionError("asked")
    assert find(REPO, COMMIT).folder == snapshot


def test_a_folder_of_that_name_comes_first_unless_there_is_a_revision(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot, folder = cached(cache), fill(tmp_path / "here" / REPO, d_model=16)
    monkeypatch.chdir(tmp_path / "here")
    assert find(REPO).folder == folder
    assert find(REPO, COMMIT).folder == find(f"{REPO}@main").folder == snapshot


def test_a_model_is_fetched_with_no_more_than_is_needed(network: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("flax_model.msgpack", "model.fp32-00001-of-00002.safetensors", "vocab.json", "code.py", "LICENSE"):
        (network.files / name).write_bytes(b"x")
    torch.save(TENSORS, network.files / "pytorch_model.bin")
    found = find(REPO)
    assert (found.revision, found.licence, found.digest) == (OTHER, "mit", digest(network.files))
    assert sorted(network.asked) == [
        "LICENSE", "README.md", "config.json", "model.safetensors", "preprocessor_config.json",
    ]  # fmt: skip
    assert f"fetching {REPO}, 0 MB, once" in capsys.readouterr().err


def test_weights_in_parts_are_fetched(network: Hub) -> None:
    (network.files / "model.safetensors").unlink()
    fill_parts(network.files)
    assert find(REPO).digest == digest(network.files)


def test_nothing_large_is_fetched_of_what_is_no_encoder(network: Hub) -> None:
    fill(network.files, model_type="bert")
    with pytest.raises(EchoError, match=f"{REPO}: a model of the type 'bert'"):
        find(REPO)
    fill(network.files)
    (network.files / "model.safetensors").rename(network.files / "model.pt")
    with pytest.raises(EchoError, match="has no model.safetensors and no pytorch_model.bin"):
        find(REPO)
    assert not {"model.safetensors", "model.pt"} & set(network.asked)


def test_without_the_network_the_cache_serves(cache: Path, network: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    network.error = ConnectionError("no route to host")
    with pytest.raises(EchoError, match="not in the hub's cache, and cannot be fetched .*no route.*give a folder"):
        find(REPO)
    snapshot = cached(cache)
    assert find(REPO).folder == snapshot
    assert f"the hub cannot be reached; {REPO} is taken from its cache, revision {COMMIT[:12]}" in " ".join(
        capsys.readouterr().err.split()
    )


@pytest.mark.parametrize("error", ["no network", "no address"])
def test_the_library_itself_without_a_network_ends_at_once(
    error: str, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENETUNREACH, error)

    monkeypatch.setattr("socket.getaddrinfo", refuse)
    with pytest.raises(EchoError, match=f"{REPO} is not in the hub's cache, and cannot be fetched"):
        find(REPO)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("GatedRepoError", "those alone who accept its terms: do so at https://huggingface.co/someone/whisper-nano"),
        ("RepositoryNotFoundError", "there is no folder someone/whisper-nano, and no model of that name on the hub"),
        ("RevisionNotFoundError", "has no revision 'first'; give a branch, tag or commit"),
        ("HfHubHTTPError", r"cannot be fetched \(HfHubHTTPError: a long message\)"),
    ],
)
def test_what_the_hub_refuses_is_one_line(kind: str, message: str, network: Hub) -> None:
    network.error = http_error(kind)
    with pytest.raises(EchoError, match=message):
        find(REPO, "first")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "does not fit on the disk.*set HF_HOME"),
        (RuntimeError("Data processing error: No space left on device"), "does not fit on the disk.*set HF_HOME"),
        (PermissionError(errno.EACCES, "Permission denied"), "the hub's cache cannot be written.*set HF_HOME"),
    ],
)
def test_a_disk_that_cannot_be_written_is_one_line(error: Exception, message: str, cache: Path, network: Hub) -> None:
    cached(cache)
    network.error = error
    with pytest.raises(EchoError, match=message):
        find(REPO)


def test_offline_what_is_not_in_the_cache_is_one_line(cache: Path) -> None:
    with pytest.raises(EchoError, match=f"{REPO} is not in the hub's cache, and HF_HUB_OFFLINE is set"):
        find(REPO)
    cached(cache, weights=False)
    with pytest.raises(EchoError, match=f"{REPO}@{COMMIT} is not in the hub's cache, and HF_HUB_OFFLINE"):
        find(REPO, COMMIT)


@pytest.mark.parametrize(
    "name",
    ["nobody", "a/b/c", "./a/b", "~/a", "a/b@", "a b/c", "C:\\a\\b", "a/..", "a/b--c", "", "~nobody/a", "a" * 300],
)
def test_a_name_that_is_neither_is_one_line(name: str, cache: Path) -> None:
    with pytest.raises(EchoError, match="no such folder; give one that"):
        find(name)


def test_two_revisions_are_refused() -> None:
    with pytest.raises(EchoError, match="names a revision, and second is another"):
        find(f"{REPO}@first", "second")


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(EchoError, match=r"needs huggingface_hub, .*: pip install 'echo-asr\[pretrained\]'"):
        find(REPO)
    assert find(fill(tmp_path / "folder")).licence == "mit"


# Pickles


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Convert in this process, whose memory is not to be bounded."""

    def convert(name: str, files: list[Path], target: Path) -> None:
        pickles.main(target, files)

    monkeypatch.setattr(pickles, "_limit_memory", lambda size: None)
    monkeypatch.setattr(pickles, "_convert_apart", convert)


@pytest.mark.parametrize("apart", [False, slow(True)])
def test_pickles_are_converted_once(
    apart: bool, cache: Path, tmp_path: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    if not apart:
        request.getfixturevalue("at_once")
    snapshot = cached(cache, write=pickled)
    found = find(REPO)
    assert found.folder.is_relative_to(tmp_path / "echo") and not (snapshot / "model.safetensors").exists()
    assert (found.name, found.revision, found.licence) == (REPO, COMMIT, "mit")
    assert found.digest == digest(fill(tmp_path / "the same as safetensors"))
    assert "has its weights as pickles: converting them to safetensors, once" in capsys.readouterr().err
    assert find(REPO) == found and capsys.readouterr().err == ""


@pytest.mark.usefixtures("at_once")
def test_pickles_are_fetched_where_there_is_nothing_else(network: Hub, tmp_path: Path) -> None:
    (network.files / "model.safetensors").unlink()
    torch.save(TENSORS, network.files / "pytorch_model.bin")
    torch.save({"more": torch.ones(1)}, network.files / "optimizer.bin")
    assert find(REPO).digest == digest(fill(tmp_path / "the same as safetensors"))
    assert "optimizer.bin" not in network.asked


@pytest.mark.slow
def test_a_pickle_that_is_refused_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    folder = pickled(tmp_path / "encoder", {"a": torch.ones(1), "b": Touching(tmp_path / "touched")})
    with pytest.raises(EchoError, match="pytorch_model.bin holds more than tensors, which might run code.*safetensors"):
        find(folder)
    assert not (tmp_path / "touched").exists()
    assert not list((tmp_path / "echo" / "encoders").iterdir())


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "holds no mapping of names"),
        ({"a": 1}, "no tensors in them"),
        (b"x" * 99, "is damaged or too large: UnpicklingError"),
        (b"PK\3\4" + b"x" * 99, "is damaged or too large"),
        ({"a": torch.ones(1), "b": Touching(Path("touched"))}, "holds more than tensors, which might run code"),
    ],
)
def test_a_pickle_of_something_else_is_refused(
    content: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = pickled(tmp_path / "encoder", content)
    if isinstance(content, bytes):
        (folder / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(SystemExit) as ended:
        pickles.main(tmp_path / "model.safetensors", [folder / "pytorch_model.bin"])
    assert message in str(ended.value)
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


@pytest.mark.usefixtures("at_once")
def test_tensors_that_share_memory_are_taken_apart(tmp_path: Path) -> None:
    tied = torch.arange(6.0).reshape(2, 3)
    torch.save({"a": tied, "b": tied, "c": tied.T, "d": tied[1]}, tmp_path / "a.bin")
    torch.save({"e": torch.ones(2)}, tmp_path / "b.bin", _use_new_zipfile_serialization=False)
    pickles.main(tmp_path / "out", [tmp_path / "a.bin", tmp_path / "b.bin"])
    found = unpack((tmp_path / "out").read_bytes())
    wanted = {"a": tied, "b": tied, "c": tied.T, "d": tied[1], "e": torch.ones(2)}
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_conversion_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = pickled(tmp_path / "encoder")
    monkeypatch.setattr(pickles, "SECONDS", 0.01)
    monkeypatch.setenv("ECHO_ASR_CACHE", str(tmp_path / "echo"))
    with pytest.raises(EchoError, match="its pickles took over 0 s to convert; give a model that has safetensors"):
        find(folder)


# Models that keep an encoder


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_a_model_keeps_its_encoder_alone(dtype: Any, tmp_path: Path) -> None:
    source = find(fill(tmp_path / "encoder"))
    own = keep(source, tmp_path / "model", dtype=dtype)
    assert own == kept(tmp_path / "model") and has_encoder(tmp_path / "model")
    assert (own.name, own.digest, own.licence, own.dtype) == (source.name, source.digest, "mit", dtype)
    tensors = unpack((own.folder / "model.safetensors").read_bytes())
    assert tensors.keys() == {name for name in TENSORS if "encoder" in name}
    weight = TENSORS["model.encoder.conv1.weight"]
    assert torch.equal(tensors["model.encoder.conv1.weight"], weight.to(getattr(torch, dtype)))
    assert torch.equal(tensors["model.encoder.steps"], TENSORS["model.encoder.steps"])
    assert find_licence(own.folder) == "mit" and read_preprocessor(own.folder) == {"feature_size": 80}


def test_a_slim_model_has_the_same_values_to_the_bit(cache: Path, tmp_path: Path) -> None:
    cached(cache)
    source = find(REPO)
    full, slim = keep(source, tmp_path / "full"), keep(source, tmp_path / "slim", slim=True)
    assert [path.name for path in (tmp_path / "slim" / "encoder").iterdir()] == ["source.json"]
    assert slim == kept(tmp_path / "slim") and slim.folder == source.folder
    read = [read_tensors(one.folder, ("model.encoder.",), one.dtype) for one in (full, slim)]
    assert read[0].keys() == read[1].keys() and len(read[0]) == 3
    assert all(torch.equal(read[0][name], read[1][name]) for name in read[0])


def test_a_model_keeps_what_another_one_kept_as_it_is(tmp_path: Path) -> None:
    source = find(fill(tmp_path / "encoder"))
    first = keep(source, tmp_path / "first", dtype="bfloat16")
    second = keep(first, tmp_path / "second", dtype="float32")
    assert second.dtype == "bfloat16" and second.digest == source.digest
    assert digest(first.folder) == digest(second.folder)
    slim = keep(second, tmp_path / "second", slim=True)
    assert [path.name for path in (tmp_path / "second" / "encoder").iterdir()] == ["source.json"]
    assert kept(tmp_path / "second").folder == source.folder and slim.dtype == "bfloat16"


def test_other_weights_are_refused(cache: Path, tmp_path: Path) -> None:
    snapshot = cached(cache)
    keep(find(REPO), tmp_path / "model", slim=True)
    (snapshot / "model.safetensors").unlink()
    (snapshot / "model.safetensors").write_bytes(pack({**TENSORS, "model.encoder.layer_norm.bias": torch.ones(())}))
    with pytest.raises(EchoError, match=rf"was trained with {REPO}@a+ of the hash \w+, and .* has \w+: other weights"):
        kept(tmp_path / "model")


def test_a_slim_model_without_its_weights_says_which_they_are(cache: Path, tmp_path: Path) -> None:
    source = find(fill(tmp_path / "encoder"))
    keep(source, tmp_path / "model", slim=True)
    (tmp_path / "encoder").rename(tmp_path / "moved")
    with pytest.raises(EchoError, match="model is without its encoder .*no such folder.*write where as name in .*json"):
        kept(tmp_path / "model")
    path = tmp_path / "model" / "encoder" / "source.json"
    path.write_text(path.read_text().replace(str(tmp_path / "encoder"), str(tmp_path / "moved")))
    assert kept(tmp_path / "model").folder == tmp_path / "moved"
    keep(Source(tmp_path / "moved", REPO, COMMIT, source.digest, "mit"), tmp_path / "model", slim=True)
    with pytest.raises(EchoError, match=f"{REPO}@{COMMIT} is not in the hub's cache, and HF_HUB_OFFLINE is set"):
        kept(tmp_path / "model")


def test_an_encoder_that_was_damaged_in_its_model_is_refused(tmp_path: Path) -> None:
    own = keep(find(fill(tmp_path / "encoder")), tmp_path / "model")
    path = own.folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(EchoError, match="not what was written there with the model; copy the whole folder again"):
        kept(tmp_path / "model")
    path.unlink()
    with pytest.raises(EchoError, match="copy the whole folder again"):
        kept(tmp_path / "model")
    (own.folder / "source.json").write_text('{"name": 3}')
    with pytest.raises(EchoError, match="source.json: name is not what was written there"):
        kept(tmp_path / "model")
    (own.folder / "source.json").unlink()
    with pytest.raises(EchoError, match="its encoder is missing"):
        kept(tmp_path / "model")
    assert not has_encoder(tmp_path / "model")


def test_values_too_large_for_half_precision_are_refused(tmp_path: Path) -> None:
    folder = fill(tmp_path / "encoder")
    (folder / "model.safetensors").write_bytes(pack({"encoder.a": torch.tensor([1e5])}))
    with pytest.raises(EchoError, match="encoder.a has values too large for float16; choose bfloat16 or float32"):
        keep(find(folder), tmp_path / "model")
    assert not (tmp_path / "model").exists()
    keep(find(folder), tmp_path / "model", dtype="bfloat16")


def test_revisions_in_the_cache_are_listed_without_the_network(cache: Path) -> None:
    assert hub.list_cached() == (cache, [])
    snapshot = cached(cache)
    cached(cache, "x/y", OTHER, model_type="bert")
    root, found = hub.list_cached()
    assert root == cache and [(one.name, one.revision) for one in found] == [(REPO, COMMIT), ("x/y", OTHER)]
    assert found[0].folder == snapshot and found[0].size > 200
