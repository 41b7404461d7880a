"""What tests ask of a corpus."""

from echo_asr.data.corpus import Corpus


def rows(corpus: Corpus) -> list[tuple[str, str, str, str]]:
    """The id, text, speaker and split of each utterance."""
    return [(u.id, u.text, u.speaker, u.split) for u in corpus.utterances]
