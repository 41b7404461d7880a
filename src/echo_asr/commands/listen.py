"""`echo-asr listen`."""

from __future__ import annotations

import argparse
import queue
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

from echo_asr.commands.arguments import DEVICE, Parser, Subparsers, add_command, add_grammar, named_path, take_grammar
from echo_asr.errors import EchoError

if TYPE_CHECKING:
    import numpy as np

    from echo_asr.decode.live import LiveEvent

MISSING = "pip install 'echo-asr[live]', and on Debian and Ubuntu: apt install libportaudio2"
BLOCK_SECONDS = 0.05  # that a microphone gives at a time
CLEAR = "\r\x1b[K"  # go to the beginning of a terminal's line, and clear it


def add(commands: Subparsers[Parser]) -> None:
    """Add the command and its arguments."""
    text = "print what is said into a microphone, a line for each stretch between two pauses"
    parser = add_command(commands, "listen", text, run, options=True)
    parser.add_argument("--model", type=named_path, required=True, metavar="MODEL", help="folder of a model")
    name = "its number, or a part of its name; by default that of the system"
    parser.add_argument("--microphone", metavar="NAME", help=name)
    parser.add_argument("--microphones", action="store_true", help="print the names of the microphones, and end")
    add_grammar(parser)
    parser.add_argument("--device", default="auto", help=DEVICE)
    parser.epilog = "Ctrl-C ends it. Decoding options can follow, e.g. --decode.segments.pause 0.4."


def run(arguments: argparse.Namespace) -> int:
    """Listen until Ctrl-C; all that was said until then is printed."""
    sounddevice = open_library()
    if arguments.microphones:
        print(sounddevice.query_devices())
        return 0
    from echo_asr.commands.recognizer import load_model, warn_of_unwritable
    from echo_asr.decode.heard_voice import HeardVoice
    from echo_asr.decode.live import LiveText
    from echo_asr.decode.results import Segment, placed
    from echo_asr.decode.segments import SpeechSegment

    take_grammar(arguments)
    recognizer = load_model(arguments)
    warn_of_unwritable(recognizer, arguments)
    recognizer.warm_up()
    heard = HeardVoice(recognizer.extractor, recognizer.pitch_by_speaker)

    def recognize(piece: SpeechSegment) -> Segment:
        clip = heard.features(piece)
        (found,) = recognizer.recognize([clip], words=True)
        return placed(found, piece.start, piece.seconds)

    live = LiveText(recognize, recognizer.decode.segments)
    show = _printer(sys.stdout)
    for samples in _microphone(sounddevice, arguments.microphone):
        for event in live.feed(samples):
            show(event)
    for event in live.finish():
        show(event)
    return 0


def open_library() -> Any:
    """Sounddevice, which needs PortAudio.

    Raises:
        EchoError: one of them is not installed.
    """
    try:
        import sounddevice
    except (ImportError, OSError):
        raise EchoError(f"listen needs sounddevice and PortAudio: {MISSING}") from None
    return sounddevice


def _microphone(sounddevice: Any, name: str | None) -> Iterator[np.ndarray]:
    """Samples `(S,)` float32 at 16 kHz of a microphone, as they are recorded, until Ctrl-C: all that it gave by then.

    Raises:
        EchoError: there is no such microphone, or it fails.
    """
    from echo_asr.audio.convert import SAMPLE_RATE
    from echo_asr.audio.resampling import BlockResampler

    blocks: queue.SimpleQueue[np.ndarray | None] = queue.SimpleQueue()
    device = int(name) if name and name.isdecimal() else name
    try:
        rate = int(sounddevice.query_devices(device, "input")["default_samplerate"])
        resampler = BlockResampler(rate, SAMPLE_RATE)
        stream = sounddevice.InputStream(
            samplerate=rate,
            blocksize=round(rate * BLOCK_SECONDS),
            device=device,
            channels=1,
            dtype="float32",
            callback=lambda samples, *_: blocks.put(samples[:, 0].copy()),
        )
        with _interrupted_by(lambda: blocks.put(None)), stream:
            print(f"echo-asr listen: listening at {rate} Hz; Ctrl-C ends it", file=sys.stderr, flush=True)
            while (block := blocks.get()) is not None:
                yield resampler.add(block)
        rest = resampler.finish()
        if rest is not None:
            yield rest
    except (ValueError, sounddevice.PortAudioError) as error:
        what = f"microphone {name!r}" if name else "the microphone"
        raise EchoError(f"{what} cannot be used ({error}); echo-asr listen --microphones lists them") from None


@contextmanager
def _interrupted_by(end: Callable[[], object]) -> Iterator[None]:
    """The first Ctrl-C calls `end`, so that nothing is broken off; the second interrupts at once, as elsewhere."""

    def answer(*_: object) -> None:
        signal.signal(signal.SIGINT, before)
        end()

    before = signal.getsignal(signal.SIGINT)
    try:
        signal.signal(signal.SIGINT, answer)
    except ValueError:  # not the main thread, which alone gets signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _printer(output: TextIO) -> Callable[[LiveEvent], None]:
    """Prints settled texts, a line each; in a terminal partial ones, too, on a line that is written over."""
    terminal = output.isatty()

    def show(event: LiveEvent) -> None:
        text = event.segment.text
        if event.settled and text:
            print(f"{CLEAR if terminal else ''}{text}", file=output, flush=True)
        elif terminal:
            width = shutil.get_terminal_size().columns - 2
            print(f"{CLEAR}{text if len(text) <= width else f'…{text[1 - width :]}'}", end="", file=output, flush=True)

    return show
