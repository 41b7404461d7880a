"""Loads audio files and arrays as mono float32 at 16 kHz; what cannot be loaded raises one line with the reason."""

from echo_asr.audio.files import find_file, same_name
from echo_asr.audio.load import AudioSource, audio_duration, load_audio, stream_audio
from echo_asr.audio.resampling import resample

__all__ = ["AudioSource", "audio_duration", "find_file", "load_audio", "resample", "same_name", "stream_audio"]
