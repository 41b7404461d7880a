"""Normalisation and tokenization of texts."""
