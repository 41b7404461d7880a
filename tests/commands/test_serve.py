"""The command `serve`, in a process of its own, and what it refuses before it loads a model."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from echo_asr.serve import server
from tests.helpers.commands import PACKAGE_ROOT, Place, run
from tests.helpers.served import serving
from tests.helpers.slow import slow

pytest.importorskip("fastapi", reason="needs the extra echo-asr[serve]")


@contextmanager
def started(*words: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str, socket.socket]]:
    """The command, once it serves, its address, and a connection to its Wyoming server."""
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_ROOT), "OMP_NUM_THREADS": "1", **variables}
    command = [sys.executable, "-m", "echo_asr", "serve", *words, "--port", "0"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            assert line.startswith("echo-asr serve: http"), line + process.stderr.read()
            _, _, address, _, house, *_ = line.split()
            yield process, address, socket.create_connection(("127.0.0.1", int(house.rpartition(":")[2])), timeout=30)
        finally:
            process.kill()


@pytest.mark.skipif(os.name == "nt", reason="processes are ended in another way")
@pytest.mark.parametrize("how", [signal.SIGTERM, slow(signal.SIGINT)])
def test_it_serves_until_it_is_told_to_end(how: signal.Signals, place: Place) -> None:
    model = str(place.named["model"])
    house = ["--wyoming", "tcp://127.0.0.1:0", "--language", "en"]
    with started(model, f"other={model}", "--device", "cpu", *house) as (process, address, wyoming), wyoming:
        with urllib.request.urlopen(f"{address}/v1/models", timeout=30) as answer:
            assert [one["id"] for one in json.load(answer)["data"]] == [Path(model).name, "other"]
        wyoming.sendall(b'{"type": "describe"}\n')  # and stays connected, which holds up nothing
        assert json.loads(wyoming.makefile().readline())["type"] == "info"
        process.send_signal(how)
        _, errors = process.communicate(timeout=60)
    assert errors == "" and process.returncode in (0, -signal.SIGTERM)


def test_https_with_a_certificate_and_a_token(place: Place) -> None:
    certificate, key = place.folder / "certificate.pem", place.folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    named = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-out", str(certificate)]
    try:
        subprocess.run([*command, *named, "-keyout", str(key)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"openssl makes no certificate here: {error}")
    token = "a-token-of-some-length"
    with serving({"mine": place.named["model"]}, token, certificate=server.Certificate(certificate, key)) as served:
        address = f"https://127.0.0.1:{served.port}/v1/models"
        asked = urllib.request.Request(address, headers={"Authorization": f"Bearer {token}"})
        trusted = ssl.create_default_context(cafile=str(certificate))
        with urllib.request.urlopen(asked, timeout=30, context=trusted) as answer:
            assert json.load(answer)["object"] == "list"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("{model} --host 0.0.0.0", "whoever reaches this machine could use the service; give a token"),
        ("{model} --certificate {here}/c.pem", "--certificate and --key go together"),
        ("{model} --token-file {here}/none", "none: cannot be read"),
        ("{model} --max-live 0", "--max-live must be at least 1"),
        ("{model} --port 99999", "--port: expected 0 to 65535, got 99999"),
        ("{model} {model}", "another model has the id"),
        ("{here}/none", "none"),
        ("{model} --wyoming 127.0.0.1:10300 --language vi", "expected an address such as tcp://127.0.0.1:10300"),
        ("{model} --wyoming tcp://0.0.0.0:0 --language vi", "this protocol has no token; name the machines"),
        ("{model} --wyoming tcp://127.0.0.1:0", "--wyoming needs --language TAG"),
        ("{model} --wyoming-allow 10.0.0.1", "--wyoming-allow goes with --wyoming"),
        ("{model} --language english!", "expected a tag such as vi or zh-HK"),
        ("{model} --language other=vi", "no model has the id 'other'"),
        ("{model} --decode.beem 2", "decode.beem"),
        ("{model} --certificate {here}/token --key {here}/token", "cannot be used"),
    ],
)
def test_what_cannot_be_served_is_one_line(
    words: str, message: str, place: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ECHO_ASR_TOKEN", raising=False)
    (place.folder / "token").write_text("a-token-of-some-length\n")
    port = [] if "--port" in words else ["--port", "0"]
    status, output, errors = run(["serve", *place.fill(words), *port], capsys)
    assert status != 0 and output == "" and errors.count("\n") == 1 and message in errors


def test_a_missing_extra_is_named(place: Place, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "EXTRA", ("json", "no_such_library"))
    status, _, errors = run(["serve", *place.fill("{model}")], capsys)
    assert status == 1 and errors.endswith(
        "serve needs no_such_library; install the extra: pip install 'echo-asr[serve]'\n"
    )


def test_a_port_that_is_taken_is_named(place: Place, capsys: Any) -> None:
    with server.listen("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        status, _, errors = run(["serve", *place.fill("{model}"), "--port", port], capsys)
    assert status == 1 and f"127.0.0.1, port {port}: cannot be listened on (Address already in use)" in errors
