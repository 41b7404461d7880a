"""What holds for a thousand hours, at a size that a test can afford: `benchmarks/scale.py` has the figures."""

import re
import tracemalloc
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.data.batch import (
    LEAST_JITTER,
    LENGTH_JITTER,
    Example,
    check_lengths,
    ctc_frames,
    length_jitter,
    make_examples,
    plan_epoch,
    weigh_plan,
)
from echo_asr.data.corpus import Utterance
from echo_asr.distributed.launch import ProcessRank
from echo_asr.errors import EchoError
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.tokenizer import Tokenizer

UTTERANCES = 60_000  # of about 4 s: 67 hours


def utterance(number: int, text: str, seconds: float) -> Utterance:
    return Utterance(str(number), Path(f"{number % 8}.wav"), text, "", "train", seconds)


@pytest.fixture(scope="module")
def durations() -> np.ndarray:
    return np.random.default_rng(0).gamma(8.0, 0.5, UTTERANCES) + 0.3  # seconds, 4.3 on average


def test_a_large_plan_has_little_padding_and_everything_once(durations: np.ndarray) -> None:
    seconds = 20.0  # so that there are as many batches as a large corpus has
    plans = [plan_epoch(durations, seconds, 0, epoch) for epoch in range(2)]
    for plan in plans:
        assert sorted(sum(plan, [])) == list(range(UTTERANCES))
        found = weigh_plan(plan, durations, processes=8)
        assert found.batches == len(plan) > 10_000
        assert found.padding <= 0.05
    together = [{frozenset(batch) for batch in plan} for plan in plans]
    assert len(together[0] & together[1]) < 0.01 * len(plans[0]), "batches differ from epoch to epoch"


def test_the_balance_of_a_plan_by_hand() -> None:
    plan, durations = [[0, 1], [2], [3, 4], [5]], [1.0, 3.0, 8.0, 2.0, 2.0, 5.0]
    found = weigh_plan(plan, durations, processes=2)  # padded: 6 and 8, 4 and 5
    assert found.batches == 4
    assert found.padding == pytest.approx(1 - 21 / 23)
    assert found.idle == pytest.approx(1 - (23 / 4) / ((8 + 5) / 2))
    assert weigh_plan(plan, durations).idle == 0.0
    assert str(found) == "4 batches an epoch, 8.7 % padding, 11.5 % of the time waiting for each other"


def test_small_corpora_are_mixed_as_ever_and_large_ones_less() -> None:
    assert length_jitter(1) == length_jitter(1000) == LENGTH_JITTER
    assert LENGTH_JITTER > length_jitter(2000) > length_jitter(4000) > length_jitter(1e6) == LEAST_JITTER


def test_the_shares_of_processes_lose_and_repeat_nothing_also_where_a_run_is_taken_up(durations: np.ndarray) -> None:
    plan = plan_epoch(durations, 60.0, 0, 0)
    for processes, place_of_crash in ((1, 7), (4, 40), (7, 21)):
        before = [ProcessRank(rank, processes).share(plan[:place_of_crash]) for rank in range(processes)]
        after = [ProcessRank(rank, 3).share(plan[place_of_crash:]) for rank in range(3)]
        seen = [index for shares in (before, after) for share in shares for batch in share for index in batch]
        assert sorted(seen) == list(range(UTTERANCES))


def test_walking_through_a_plan_takes_no_memory(durations: np.ndarray) -> None:
    plan = plan_epoch(durations, 60.0, 0, 0)
    tracemalloc.start()
    try:
        for batch in plan[:100]:
            sum(durations[batch])
        first = tracemalloc.get_traced_memory()[0]
        for batch in plan:
            sum(durations[batch])
        assert tracemalloc.get_traced_memory()[0] - first < 100_000  # bytes
    finally:
        tracemalloc.stop()


MARKS = "".join(map(chr, range(0x300, 0x370)))  # combining, on letters
DOTTED = "ij\u0249\u0268\u029d\u03f3\u0456\u0458"


def normalize_slowly(text: str) -> str:
    """`normalize_basic` as it is described, a character at a time."""
    category = unicodedata.category
    text = "".join(c for c in text if category(c) != "Cf" or c in "\u200c\u200d")
    text = unicodedata.normalize("NFC", unicodedata.normalize("NFC", text.lower()).lower())
    undotted = ""
    for character in unicodedata.normalize("NFD", text):
        base = undotted.rstrip(MARKS)[-1:]
        undotted += "" if character == "\u0307" and base and base in DOTTED else character
    text = unicodedata.normalize("NFC", undotted)
    text = re.sub("[\u2018\u2019\u201b\uff07]", "'", text)
    kept = ""
    for before, character, after in zip(" " + text, text, text[1:] + " ", strict=False):
        word = category(before)[0] in "LMN" and category(after)[0] in "LMN"
        gone = not word if character == "'" else category(character)[0] == "P" or category(character) == "Cc"
        kept += " " if gone else character
    words = []
    for word in kept.split():
        word = word.replace("\u03c2", "\u03c3")  # sigmas
        for at, character in enumerate(word):
            after = word[at + 1 :].lstrip("'" + MARKS)[:1]
            before = word[:at][-1:]
            if character == "\u03c3" and (before.isalpha() or before and before in MARKS) and not after.isalpha():
                word = f"{word[:at]}\u03c2{word[at + 1 :]}"
        words.append(word)
    return " ".join(words)


@settings(deadline=None)
@given(
    st.one_of(
        st.text(),
        st.text(st.characters(max_codepoint=127)),
        st.text("aB'’.\u00ad\u200d\u0130\u0301\u0307J\u03a3\u03c2 ,1-"),
    )
)
def test_texts_are_normalised_fast_as_they_are_slowly(text: str) -> None:
    assert normalize_basic(text) == normalize_slowly(text)


KINDS = {"character": None, "bpe": 60}
SENTENCES = ["the cat sat", "a dog's day", "", "über naïve", "the the the", "ca cb cc"]


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None)
@given(picks=st.lists(st.sampled_from([*SENTENCES, "xyz?", "Q"]), max_size=8))
def test_many_texts_are_encoded_as_one_by_one(kind: str, picks: list[str]) -> None:
    tokenizer = Tokenizer.train([*SENTENCES, " "], kind, KINDS[kind])
    skipped = [tuple(tokenizer.encode(text, "skip")) for text in picks]
    assert tokenizer.encode_many(picks, "skip") == skipped
    if {"xyz?", "Q"} & set(picks):
        with pytest.raises(EchoError, match="has no symbol for '[?Q]'"):
            tokenizer.encode_many(picks)
    else:
        assert tokenizer.encode_many(picks) == skipped


def test_a_text_that_cannot_be_encoded_is_named_among_many() -> None:
    tokenizer = Tokenizer.train(["ab "])
    rows = [utterance(n, "a b" if n != 30_017 else "a c", 1.0) for n in range(30_020)]
    with pytest.raises(EchoError, match="1.wav: text 'a c'.*'c'"):
        make_examples(rows, tokenizer, normalize_basic)
    assert make_examples(rows, tokenizer, normalize_basic, "skip")[30_017].tokens == (*tokenizer.encode("a "),)


@settings(deadline=None)
@given(st.lists(st.tuples(st.lists(st.integers(1, 3), max_size=12), st.floats(0.01, 1.0)), min_size=1, max_size=20))
def test_lengths_are_checked_as_one_by_one(rows: list[tuple[list[int], float]]) -> None:
    examples = [Example(utterance(n, "", seconds), "", tuple(ids)) for n, (ids, seconds) in enumerate(rows)]
    long = [e for e in examples if ctc_frames(e.tokens) > max(int(e.utterance.duration / 1.1 * 100 / 4), 1)]
    if long:
        with pytest.raises(
            EchoError, match=f"^{len(long)} of {len(examples)} texts .*first {long[0].utterance.audio} "
        ):
            check_lengths(examples, 4, 1.1)
    else:
        check_lengths(examples, 4, 1.1)
