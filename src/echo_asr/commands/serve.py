"""`echo-asr serve`."""

from __future__ import annotations

import argparse
import os
import re
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from echo_asr.commands.arguments import DEVICE, Parser, Subparsers, add_command, named_path
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.decode.transcribe import Recognizer
    from echo_asr.serve.server import Wyoming

TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")  # of a language
TOKEN = "ECHO_ASR_TOKEN"  # environment variable


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "serve models over HTTP: OpenAI's audio API, live text, a page for browsers; and to Home Assistant"
    parser = add_command(commands, "serve", text, run, options=True)
    parser.add_argument("models", nargs="+", metavar="[ID=]MODEL", help="folder of a model, and the id it goes by")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1: this machine)")
    parser.add_argument("--port", type=int, default=8000, help="default 8000; 0 for any free one")
    parser.add_argument(
        "--token-file", type=named_path, metavar="FILE", help=f"token to ask for (or the variable {TOKEN})"
    )
    parser.add_argument("--certificate", type=named_path, metavar="FILE", help="for HTTPS, in PEM")
    parser.add_argument("--key", type=named_path, metavar="FILE", help="of the certificate, in PEM")
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="a name the service goes by")
    parser.add_argument(
        "--allow-origin", action="append", default=[], metavar="URL", help="a site whose pages may call"
    )
    corpus = "a folder, new or with a metadata.csv, to which the page may add corrected recordings"
    parser.add_argument("--corpus", type=named_path, metavar="FOLDER", help=corpus)
    parser.add_argument("--max-requests", type=int, default=64, metavar="N", help="in progress at once (default 64)")
    parser.add_argument("--max-upload", type=int, default=512, metavar="MIB", help="of a request (default 512 MiB)")
    parser.add_argument("--max-live", type=int, default=8, metavar="N", help="live sessions at once (default 8)")
    tag = "of all models, or of one, for Home Assistant and verbose_json: vi, zh-HK (can be repeated)"
    parser.add_argument("--language", action="append", default=[], metavar="[ID=]TAG", help=tag)
    wyoming = "serve Home Assistant's protocol, too, at this address: tcp://127.0.0.1:10300"
    parser.add_argument("--wyoming", metavar="ADDRESS", help=wyoming)
    allowed = "address or network that may use --wyoming, besides this machine (can be repeated)"
    parser.add_argument("--wyoming-allow", action="append", default=[], metavar="ADDRESS", help=allowed)
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.epilog = "Decoding options can follow, e.g. --decode.beam 8; they are those of every model."


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    from echo_asr.data.writers.additions import open_additions
    from echo_asr.decode.memory import share_heaps
    from echo_asr.serve.access import is_loopback, make_access
    from echo_asr.serve.server import Certificate, listen, make_server, require_extra
    from echo_asr.serve.service import Limits, Service

    require_extra(arguments.wyoming is not None)
    if (arguments.certificate is None) != (arguments.key is None):
        arguments.parser.error("--certificate and --key go together")
    token = _token(arguments.token_file)
    access = make_access(arguments.host, token, tuple(arguments.allow_host), tuple(arguments.allow_origin))
    try:
        limits = Limits(arguments.max_requests, arguments.max_upload * 2**20, arguments.max_live)
    except ValueError as error:
        raise EchoError(str(error)) from None
    named = [_named(given) for given in arguments.models]
    languages = _languages(arguments.language, [name for name, _ in named])
    if arguments.wyoming is not None and not any(languages.values()):
        arguments.parser.error("--wyoming needs --language TAG: Home Assistant offers a recogniser for its languages")
    if arguments.corpus is not None:
        open_additions(arguments.corpus)
    wyoming = _wyoming(arguments)
    bound = listen(arguments.host, arguments.port)
    share_heaps()
    models = _load(arguments, named)
    for recognizer in models.values():
        recognizer.warm_up()
    service = Service(models, access, limits, languages, arguments.corpus)
    certificate = Certificate(arguments.certificate, arguments.key) if arguments.key else None
    server = make_server(service, certificate, wyoming)
    address = _address("https" if arguments.key else "http", bound)
    also = f" and {_address('tcp', wyoming.bound)}" if wyoming else ""
    print(f"echo-asr serve: {address}{also} has {', '.join(models)}; Ctrl-C ends it", file=sys.stderr, flush=True)
    if not arguments.key and not is_loopback(arguments.host):
        what = "without HTTPS what is sent can be read on its way, and browsers give the microphone to HTTPS alone"
        print(f"echo-asr serve: {what}: give --certificate and --key, or put a proxy before it", file=sys.stderr)
    try:
        with suppress(KeyboardInterrupt):
            server.run(sockets=[bound])
    finally:
        service.close()
    return 0


def _token(file: Path | None) -> str:
    """The token of a file, or of the environment; empty for none."""
    if file is None:
        return os.environ.get(TOKEN, "").strip()
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise EchoError(f"--token-file {file}: cannot be read ({reason}); put a token into a text file") from None
    if not token:
        raise EchoError(f"--token-file {file}: is empty; put a token into it")
    return token


def _address(scheme: str, bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _wyoming(arguments: argparse.Namespace) -> Wyoming | None:
    """The Wyoming server that is asked for, if one is."""
    from echo_asr.serve.server import Wyoming, listen
    from echo_asr.serve.wyoming.server import read_address, read_networks

    if arguments.wyoming is None:
        if arguments.wyoming_allow:
            arguments.parser.error("--wyoming-allow goes with --wyoming")
        return None
    host, port = read_address(arguments.wyoming)
    allowed = read_networks(host, tuple(arguments.wyoming_allow))
    return Wyoming(listen(host, port, "take another --wyoming"), allowed)


def _languages(given: list[str], names: list[str]) -> dict[str, tuple[str, ...]]:
    """The tags of languages by the ids of models: those without an id are for all."""
    found: dict[str, list[str]] = {name: [] for name in names}
    for one in given:
        name, sign, tag = one.rpartition("=")
        if sign and name not in found:
            raise EchoError(f"--language {one}: no model has the id {name!r}; expected one of {', '.join(found)}")
        if not TAG.fullmatch(tag):
            raise EchoError(f"--language {one}: expected a tag such as vi or zh-HK (BCP 47), or ID=TAG")
        for own in [name] if sign else found:
            found[own].append(tag)
    return {name: tuple(tags) for name, tags in found.items()}


def _load(arguments: argparse.Namespace, named: list[tuple[str, Path]]) -> dict[str, Recognizer]:
    from echo_asr.commands.recognizer import load_model

    models: dict[str, Recognizer] = {}
    for (name, folder), given in zip(named, arguments.models, strict=True):
        if name in models:
            raise EchoError(f"{given}: another model has the id {name}; give it one of its own: ID={folder}")
        models[name] = load_model(arguments, folder=folder)
    return models


def _named(given: str) -> tuple[str, Path]:
    """The id and the folder of a model on the command line: `ID=FOLDER`, or a folder, whose name is the id."""
    name, sign, folder = given.partition("=")
    if sign and name and folder and not Path(given).exists():
        return name, Path(folder)
    path = Path(given)
    return path.resolve().name, path
