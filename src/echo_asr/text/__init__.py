"""Texts: how they are normalised, and how they become tokens."""
