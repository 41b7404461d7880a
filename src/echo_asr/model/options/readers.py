"""What the options of a configuration read by cross-attention."""

from __future__ import annotations

from echo_asr.model.config import ModelConfig
from echo_asr.model.cross_attention import Reader
from echo_asr.model.options.aligned_pitch import PitchReader
from echo_asr.model.options.silence_stop import SilenceReader, final_silence
from echo_asr.vrope import PitchTrack


def make_readers(config: ModelConfig, track: PitchTrack, copies: int, last: bool) -> tuple[Reader, ...]:
    """Readers for the cross-attention of one block; none by default.

    Args:
        track: of the encoder frames.
        copies: how often these frames stand one after another among the keys.
        last: whether it is the last block of all.
    """
    readers: list[Reader] = []
    if config.text_pitch == "aligned":
        readers.append(PitchReader(track.channels(config.vrope.reference).repeat(1, copies, 1)))
    if config.stop != "token" and last:
        readers.append(SilenceReader(final_silence(track).repeat(1, copies)))
    return tuple(readers)
