"""The features of a recording: log-mel spectrogram, pitch, voicing and null frames, all in frames of 10 ms."""

from echo_asr.features.batch import FeatureBatch, Features, collate_features
from echo_asr.features.extractor import FeatureConfig, FeatureExtractor, FeatureTransform

__all__ = ["FeatureBatch", "FeatureConfig", "FeatureExtractor", "FeatureTransform", "Features", "collate_features"]
