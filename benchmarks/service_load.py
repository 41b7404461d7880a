"""A service under load: `python -m benchmarks.service_load MODEL CORPUS`.

Sends ten minutes of audio, recordings of four seconds made of a corpus's clips, many at once, in rounds, to a service
of this process on this machine. Prints one JSON object: what was lost or differs from the text of the same recording
transcribed alone, how long requests took, and the memory of the process after each round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import soundfile
from openai import OpenAI

from echo_asr.audio import load_audio
from echo_asr.audio.convert import SAMPLE_RATE, seconds_to_samples
from echo_asr.data.corpus import load_corpus
from echo_asr.decode.memory import share_heaps
from echo_asr.research.f0_controls import load_recognizer
from echo_asr.serve.access import make_access
from echo_asr.serve.server import listen, make_server
from echo_asr.serve.service import Service

SECONDS = 4.0  # of a recording
PAUSE = 0.8  # seconds between clips


def main() -> None:
    """Measure, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", type=Path)
    parser.add_argument("corpus")
    parser.add_argument("--at-once", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    share_heaps()  # as `echo-asr serve` does
    recognizer = load_recognizer(arguments.model, "cpu")
    count = max(1, round(arguments.minutes * 60 / SECONDS))
    recordings = make_recordings(arguments.corpus, count)
    expected = [recognizer.transcribe(audio).text for audio in recordings]
    files = [to_wav(audio) for audio in recordings]
    service = Service({"model": recognizer}, make_access("127.0.0.1"))
    bound = listen("127.0.0.1", 0)
    server = make_server(service)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
    thread.start()
    client = OpenAI(base_url=f"http://127.0.0.1:{bound.getsockname()[1]}/v1", api_key="none", max_retries=0)

    def send(file: bytes) -> tuple[str, float]:
        began = time.perf_counter()
        text = client.audio.transcriptions.create(file=("a.wav", file), model="model").text
        return text, time.perf_counter() - began

    part = -(-count // arguments.rounds)
    texts, taken, memory = list[str](), list[float](), [resident()]
    began = time.perf_counter()
    with ThreadPoolExecutor(arguments.at_once) as threads:
        for first in range(0, count, part):
            for text, seconds in threads.map(send, files[first : first + part]):
                texts.append(text)
                taken.append(seconds)
            memory.append(resident())
    wall = time.perf_counter() - began
    server.should_exit = True
    thread.join()
    service.close()
    result = {
        "requests": count,
        "at_once": min(arguments.at_once, part),
        "lost": count - len(texts),
        "different": sum(text != own for text, own in zip(texts, expected, strict=True)),
        "audio_seconds": round(count * SECONDS),
        "wall_seconds": round(wall, 1),
        "request_seconds": {"median": round(statistics.median(taken), 2), "max": round(max(taken), 2)},
        "memory_mib": memory,
    }
    print(json.dumps(result))


def make_recordings(corpus: str, count: int) -> list[np.ndarray]:
    """Recordings of so many seconds, of successive clips of a validation split with pauses between."""
    rows = load_corpus(corpus).split("validation")
    gap, size = np.zeros(seconds_to_samples(PAUSE), np.float32), seconds_to_samples(SECONDS)
    found, at = list[np.ndarray](), 0
    while len(found) < count:
        parts = [gap]
        while sum(map(len, parts)) < size:
            parts += [load_audio(rows[at % len(rows)].audio), gap]
            at += 1
        found.append(np.concatenate(parts)[:size])
    return found


def to_wav(audio: np.ndarray) -> bytes:
    """Samples as a file."""
    file = BytesIO()
    soundfile.write(file, audio, SAMPLE_RATE, format="WAV")
    return file.getvalue()


def resident() -> int:
    """MiB of memory that the process holds (Linux)."""
    fields = Path("/proc/self/status").read_text(encoding="utf-8").split()
    return int(fields[fields.index("VmRSS:") + 1]) // 1024


if __name__ == "__main__":
    main()
