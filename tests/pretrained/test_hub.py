"""Models of the hub: from its cache, fetched, and what may be wrong on the way in one line."""

import errno
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from echo_asr.errors import EchoError
from echo_asr.pretrained import hub
from echo_asr.pretrained.source import Source, find
from echo_asr.pretrained.weights import digest
from tests.helpers.hub import COMMIT, OTHER, REPO, TENSORS, Hub, cached, fill, fill_parts

pytest.importorskip("huggingface_hub")


def test_a_model_of_the_cache_is_found_without_the_network(cache: Path) -> None:
    snapshot = cached(cache)
    found = find(REPO)
    assert found == Source(snapshot, REPO, COMMIT, digest(snapshot), "mit")
    assert found == find(f"{REPO}@{COMMIT}") == find(REPO, COMMIT) == find(f"{REPO}@main")


def test_a_pinned_revision_of_the_cache_needs_no_network(cache: Path, network: Hub) -> None:
    snapshot = cached(cache)
    network.error = AssertionError("asked")
    assert find(REPO, COMMIT).folder == snapshot


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


def http_error(kind: str, status: int = 404) -> Exception:
    from huggingface_hub import errors

    request = SimpleNamespace(url="https://huggingface.co", method="GET")
    response: Any = SimpleNamespace(headers={}, status_code=status, request=request)
    error: Exception = getattr(errors, kind)("a long\nmessage", response=response)
    return error


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


def test_a_missing_extra_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(EchoError, match=r"needs huggingface_hub, .*: pip install 'echo-asr\[pretrained\]'"):
        find(REPO)
    assert find(fill(tmp_path / "folder")).licence == "mit"


def test_revisions_in_the_cache_are_listed_without_the_network(cache: Path) -> None:
    assert hub.list_cached() == (cache, [])
    snapshot = cached(cache)
    cached(cache, "x/y", OTHER, model_type="bert")
    root, found = hub.list_cached()
    assert root == cache and [(one.name, one.revision) for one in found] == [(REPO, COMMIT), ("x/y", OTHER)]
    assert found[0].folder == snapshot and found[0].size > 200
