"""Grammars of the sentences that may be said: templates, what they accept, and what a sentence means."""

from echo_asr.text.grammar.grammar import Grammar, Template

__all__ = ["Grammar", "Template"]
