"""Pretrained speech encoders of transformers: where their weights are, and what they make of a recording."""

from echo_asr.pretrained.encoder import SpeechEncoder
from echo_asr.pretrained.networks import build

__all__ = ["SpeechEncoder", "build"]
