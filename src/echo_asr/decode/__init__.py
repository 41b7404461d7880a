"""Transcription with a trained model: segmentation, search, word times, output formats."""
