"""`echo-asr serve`."""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from echo_asr.commands.arguments import DEVICE, Parser, Subparsers, add_command
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    from echo_asr.decode.transcribe import Recognizer

TOKEN = "ECHO_ASR_TOKEN"  # environment variable


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "serve models over HTTP: OpenAI's audio API, live text, a page for browsers"
    parser = add_command(commands, "serve", text, run, options=True)
    parser.add_argument("models", nargs="+", metavar="[ID=]MODEL", help="folder of a model, and the id it goes by")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1: this machine)")
    parser.add_argument("--port", type=int, default=8000, help="default 8000; 0 for any free one")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help=f"token to ask for (or the variable {TOKEN})")
    parser.add_argument("--certificate", type=Path, metavar="FILE", help="for HTTPS, in PEM")
    parser.add_argument("--key", type=Path, metavar="FILE", help="of the certificate, in PEM")
    parser.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="a name the service goes by")
    parser.add_argument(
        "--allow-origin", action="append", default=[], metavar="URL", help="a site whose pages may call"
    )
    parser.add_argument("--max-requests", type=int, default=64, metavar="N", help="in progress at once (default 64)")
    parser.add_argument("--max-upload", type=int, default=512, metavar="MIB", help="of a request (default 512 MiB)")
    parser.add_argument("--max-live", type=int, default=8, metavar="N", help="live sessions at once (default 8)")
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.epilog = "Decoding options can follow, e.g. --decode.beam 8; they are those of every model."


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    from echo_asr.serve.access import is_loopback, make_access
    from echo_asr.serve.server import Certificate, listen, make_server, require_extra
    from echo_asr.serve.service import Limits, Service

    require_extra()
    if (arguments.certificate is None) != (arguments.key is None):
        arguments.parser.error("--certificate and --key go together")
    token = _token(arguments.token_file)
    access = make_access(arguments.host, token, tuple(arguments.allow_host), tuple(arguments.allow_origin))
    try:
        limits = Limits(arguments.max_requests, arguments.max_upload * 2**20, arguments.max_live)
    except ValueError as error:
        raise EchoError(str(error)) from None
    bound = listen(arguments.host, arguments.port)
    models = _load(arguments)
    service = Service(models, access, limits)
    server = make_server(service, Certificate(arguments.certificate, arguments.key) if arguments.key else None)
    host, port = bound.getsockname()[:2]
    address = f"{'https' if arguments.key else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    print(f"echo-asr serve: {address} has {', '.join(models)}; Ctrl-C ends it", file=sys.stderr, flush=True)
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


def _load(arguments: argparse.Namespace) -> dict[str, Recognizer]:
    from echo_asr.research.f0_controls import load_recognizer

    models: dict[str, Recognizer] = {}
    for given in arguments.models:
        name, folder = _named(given)
        if name in models:
            raise EchoError(f"{given}: another model has the id {name}; give it one of its own: ID={folder}")
        models[name] = load_recognizer(folder, arguments.device, arguments.changes)
    return models


def _named(given: str) -> tuple[str, Path]:
    """The id and the folder of a model on the command line: `ID=FOLDER`, or a folder, whose name is the id."""
    name, sign, folder = given.partition("=")
    if sign and name and folder and not Path(given).exists():
        return name, Path(folder)
    path = Path(given)
    return path.resolve().name, path
