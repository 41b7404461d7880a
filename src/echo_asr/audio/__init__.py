"""Recordings from files and arrays: mono float32 at 16 kHz, or one line that says why not."""

from echo_asr.audio.files import find_file, same_name
from echo_asr.audio.load import SoundSource, audio_duration, load_audio, stream_audio
from echo_asr.audio.resampling import resample

__all__ = [
    "SoundSource",
    "audio_duration",
    "find_file",
    "load_audio",
    "resample",
    "same_name",
    "stream_audio",
]
