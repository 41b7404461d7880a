"""What the model is given of a recording: log-mel spectrogram, pitch, voicing and null frames on one 10 ms clock."""

from echo_asr.features.batch import FeatureBatch, Features, collate_features
from echo_asr.features.extractor import FeatureConfig, FeatureExtractor, FeatureTransform

__all__ = ["FeatureBatch", "FeatureConfig", "FeatureExtractor", "FeatureTransform", "Features", "collate_features"]
