"""Delay and error of live text, in real time: `python -m benchmarks.live MODEL CORPUS`.

Recordings of a split, with pauses and faint noise between them, are sent to a service of this process as a microphone
would, through a WebSocket. Prints one JSON object: the delay of settled texts, from the moment at which their pause is
long enough; that of the first partial text, from the beginning of its segment; how far partial texts went back; and the
errors of live text and of the same recording as a file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from websockets.sync.client import connect

from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE, samples_to_seconds, seconds_to_samples
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.transcribe import Recognizer
from echo_asr.evaluate.metrics import error_rate
from echo_asr.research.f0_controls import load_recognizer
from echo_asr.serve.access import make_access
from echo_asr.serve.server import listen, make_server
from echo_asr.serve.service import Service

PAUSE = 1.2  # seconds between two recordings
NOISE = 1e-3  # RMS, -60 dBFS
BLOCK = 0.05  # seconds of a message


def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", type=Path)
    parser.add_argument("corpus")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--clips", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    recognizer = load_recognizer(arguments.model, "cpu")
    recognizer.warm_up()  # as `echo-asr serve` does
    draw = np.random.default_rng(arguments.seed)
    rows = load_corpus(arguments.corpus).split(arguments.split)
    taken = [rows[number] for number in draw.permutation(len(rows))[: arguments.clips]]
    gap = np.zeros(seconds_to_samples(PAUSE), np.float32)
    parts = [gap, *(part for row in taken for part in (load_audio(row.audio), gap))]
    audio = np.concatenate(parts)
    audio += NOISE * draw.standard_normal(len(audio)).astype(np.float32)
    text = recognizer.normalize(" ".join(row.text for row in taken))
    sent, messages = converse(recognizer, audio)
    settled = [(at, one) for at, one in messages if one["type"] == "settled" and one["text"]]
    found = {"live": messages[-1][1]["text"], "file": recognizer.transcribe(audio).text}
    segments = recognizer.decode.segments
    delays = [at - sent - (one["end"] - segments.margin + segments.pause) for at, one in settled]
    firsts, back, shown, last = [], 0, list[str](), -1
    for at, one in messages:
        if one["type"] == "partial":
            words = one["text"].split()
            if one["segment"] != last:
                firsts.append(at - sent - one["start"] - segments.margin)
                shown, last = [], one["segment"]
            same = next((i for i, (a, b) in enumerate(zip(shown, words, strict=False)) if a != b), len(words))
            back, shown = max(back, len(shown) - min(same, len(shown))), words
    result = {
        "clips": len(taken),
        "seconds": round(samples_to_seconds(len(audio)), 1),
        "settled": len(settled),
        "delay_settled_s": _summary(delays),
        "delay_first_partial_s": _summary(firsts),
        "words_taken_back": back,
        "wer": {name: round(error_rate([text], [own]).percent, 2) for name, own in found.items()},
        "words": len(text.split()),
    }
    print(json.dumps(result))


def converse(recognizer: Recognizer, audio: np.ndarray) -> tuple[float, list[tuple[float, dict[str, Any]]]]:
    """When sending began, and each message with the time at which it came, of a clock in seconds."""
    service = Service({"model": recognizer}, make_access("127.0.0.1"))
    bound = listen("127.0.0.1", 0)
    server = make_server(service)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    messages = []
    with connect(f"ws://127.0.0.1:{bound.getsockname()[1]}/v1/live", proxy=None) as socket:
        socket.send('{"type": "start"}')
        socket.recv()
        began = time.perf_counter()
        sending = threading.Thread(target=_send, args=(socket, audio, began))
        sending.start()
        for message in socket:
            messages.append((time.perf_counter(), json.loads(message)))
        sending.join()
    server.should_exit = True
    thread.join()
    service.close()
    return began, messages


def _send(socket: Any, audio: np.ndarray, began: float) -> None:
    """Send each block when its last sample would have been recorded."""
    pcm = (np.clip(audio, -1, 1) * 32_767).astype("<i2")
    size = seconds_to_samples(BLOCK)
    for at in range(0, len(pcm), size):
        block = pcm[at : at + size]
        time.sleep(max(0.0, began + (at + len(block)) / SAMPLE_RATE - time.perf_counter()))
        socket.send(block.tobytes())
    socket.send('{"type": "end"}')


def _summary(values: list[float]) -> dict[str, float]:
    """Median, the value that nine in ten do not pass, and the largest."""
    ordered = sorted(values)
    if not ordered:
        return {}
    nine = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    return {"median": round(statistics.median(ordered), 3), "p90": round(nine, 3), "max": round(ordered[-1], 3)}


if __name__ == "__main__":
    main()
