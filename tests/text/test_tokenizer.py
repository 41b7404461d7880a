import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echo_asr.errors import EchoError
from echo_asr.text.normalize import make_normalizer
from echo_asr.text.tokenizer import ZERO_SYMBOL, Tokenizer

# Every code point that UTF-8 can carry: lone surrogates are no text.
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
words = st.text("abcde 1'", max_size=30)

SYLLABLES = ["ma1 ma4", "ni3 hao3", "shi4 bu2 shi4", "lv4 se4", ""]
SENTENCES = ["the cat sat on the mat", "the dog ate the hat", "a cat and a dog", "that is that"] * 3


def trained(kind: str, texts: list[str] = SENTENCES) -> Tokenizer:
    return Tokenizer.train(texts, kind, size=40)


def test_characters_have_the_ids_after_zero_in_the_order_of_code_points() -> None:
    tokenizer = Tokenizer.train(["ba c", "ab"])
    assert tokenizer.kind == "character"
    assert tokenizer.symbols == [ZERO_SYMBOL, " ", "a", "b", "c"]
    assert tokenizer.vocabulary_size == 5
    assert tokenizer.encode("cab a") == [4, 2, 3, 1, 2]


@given(st.lists(any_text, min_size=1, max_size=5).filter(any))
@settings(max_examples=50)
def test_character_round_trip_of_any_text(texts: list[str]) -> None:
    tokenizer = Tokenizer.train(texts)
    for text in texts:
        ids = tokenizer.encode(text)
        assert ids == [tokenizer.symbols.index(character) for character in text]
        assert tokenizer.decode(ids) == text


@given(st.lists(any_text, min_size=1, max_size=5).filter(any), st.data())
@settings(max_examples=50, deadline=None)
def test_bpe_round_trip_of_any_text_of_known_characters(texts: list[str], data: st.DataObject) -> None:
    characters = sorted(set().union(*texts))
    tokenizer = Tokenizer.train(texts, "bpe", size=len(characters) + 20)
    for text in [*texts, data.draw(st.text(st.sampled_from(characters), max_size=30))]:
        ids = tokenizer.encode(text)
        assert all(0 < number < tokenizer.vocabulary_size for number in ids)
        assert tokenizer.decode(ids) == text


def test_bpe_joins_what_is_frequent_and_never_reaches_across_words() -> None:
    tokenizer = trained("bpe")
    assert tokenizer.vocabulary_size <= 40
    assert " the" in tokenizer.symbols
    assert len(tokenizer.encode("sat on the mat")) < len("sat on the mat")
    assert all(" " not in symbol[1:] for symbol in tokenizer.symbols)


def test_bpe_reaches_the_size_that_the_texts_allow_and_no_more() -> None:
    characters = len(set("".join(SENTENCES)))
    assert Tokenizer.train(SENTENCES, "bpe", size=characters + 4).vocabulary_size == characters + 4
    assert Tokenizer.train(["ab"], "bpe", size=100).symbols == [ZERO_SYMBOL, "a", "b", "ab"]


@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_the_same_texts_give_the_same_tokenizer(kind: str) -> None:
    assert trained(kind).symbols == trained(kind).symbols == trained(kind, list(SENTENCES[::-1])).symbols


@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_zero_never_comes_out_of_a_text(kind: str) -> None:
    tokenizer = trained(kind, [*SENTENCES, ZERO_SYMBOL])
    ids = tokenizer.encode(ZERO_SYMBOL)
    assert 0 not in ids
    assert tokenizer.decode(ids) == ZERO_SYMBOL


@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_decoding_skips_zeros(kind: str) -> None:
    tokenizer = trained(kind)
    ids = tokenizer.encode("the cat")
    assert tokenizer.decode([0, *ids[:2], 0, *ids[2:], 0, 0]) == "the cat"
    assert tokenizer.decode([0, 0]) == tokenizer.decode([]) == ""
    assert tokenizer.encode("") == []


@pytest.mark.parametrize("number", [-1, 5])
def test_decoding_an_id_out_of_range(number: int) -> None:
    with pytest.raises(ValueError, match=f"ids: expected 0 to 4, got {number}"):
        Tokenizer.train(["abcd"]).decode([1, number])


@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_unknown_characters(kind: str) -> None:
    tokenizer = trained(kind)
    named = r"text 'the züri': .*no symbol for 'r' \(U\+0072\).*'z'.*'ü' \(U\+00FC\)"
    with pytest.raises(EchoError, match=named):
        tokenizer.encode("the züri")
    assert tokenizer.decode(tokenizer.encode("the züri", unknown="skip")) == "the i"


def test_the_message_on_unknown_characters_is_one_short_line() -> None:
    with pytest.raises(EchoError) as caught:
        Tokenizer.train(["ab"]).encode("\n".join(chr(code) for code in range(200, 1200)))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400


@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_save_and_load(kind: str, tmp_path) -> None:
    tokenizer, path = trained(kind), tmp_path / "tokenizer.json"
    tokenizer.save(path)
    assert [entry.name for entry in tmp_path.iterdir()] == ["tokenizer.json"]
    loaded = Tokenizer.load(path)
    assert (loaded.kind, loaded.symbols) == (kind, tokenizer.symbols)
    for text in SENTENCES:
        assert loaded.encode(text) == tokenizer.encode(text)
    loaded.save(path)
    assert Tokenizer.load(path).symbols == tokenizer.symbols


@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_other_programs_read_the_file_with_the_tokenizers_library(kind: str, tmp_path) -> None:
    import tokenizers

    tokenizer, path = trained(kind), tmp_path / "tokenizer.json"
    tokenizer.save(path)
    other = tokenizers.Tokenizer.from_file(str(path))
    ids = other.encode("the cat and that hat").ids
    assert ids == tokenizer.encode("the cat and that hat")
    assert other.decode(ids) == "the cat and that hat"


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    path = tmp_path / "tokenizer.json"
    trained("character").save(path)
    before = path.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(EchoError, match="tokenizer.json: could not be written .No space left"):
        trained("bpe").save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; expected a tokenizer.json"),
        (b"", "cannot read it .*expected a tokenizer.json"),
        (b"{}", "cannot read it .*expected a tokenizer.json"),
        (b"\xff\xfe\x00", "cannot read it .*expected a tokenizer.json"),
    ],
)
def test_loading_what_is_no_tokenizer(content: bytes | None, message: str, tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EchoError, match=message) as caught:
        Tokenizer.load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["gap", "other zero"])
def test_loading_a_tokenizer_of_another_program(damage: str, tmp_path) -> None:
    path = tmp_path / "tokenizer.json"
    Tokenizer.train(["abc"]).save(path)
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    if damage == "gap":
        vocabulary["c"] = 17
    else:
        vocabulary[ZERO_SYMBOL], vocabulary["a"] = vocabulary["a"], vocabulary[ZERO_SYMBOL]
    path.write_text(json.dumps(content))
    message = {"gap": "ids go from 0 without a gap", "other zero": r"expected '<\|zero\|>' to be symbol 0 or none"}
    with pytest.raises(EchoError, match=message[damage]):
        Tokenizer.load(path)


# --- ready tokenizers, made with the tokenizers library as other programs make them


def ready(kind: str, folder: Path) -> Path:
    """A tokenizer.json for SENTENCES, with special tokens, padding and truncation as others leave them there."""
    from tokenizers import Tokenizer as Library
    from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

    specials = ["<unk>", "<s>", "</s>"]
    if kind == "byte-level":
        library = Library(models.BPE())
        library.pre_tokenizer, library.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=300, special_tokens=specials, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        )
    elif kind == "unigram":
        library = Library(models.Unigram())
        library.pre_tokenizer, library.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
        trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=specials, unk_token="<unk>")
    else:
        library = Library(models.WordPiece(unk_token="<unk>"))
        library.normalizer, library.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
        library.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=80, special_tokens=specials)
    library.train_from_iterator(SENTENCES, trainer)
    library.enable_padding(length=64)
    library.enable_truncation(4)
    library.save(str(folder / "ready.json"))
    return folder / "ready.json"


@pytest.mark.parametrize("kind", ["byte-level", "unigram", "wordpiece"])
def test_a_ready_tokenizer_gives_its_own_ids_moved_up_by_one(kind: str, tmp_path: Path) -> None:
    from tokenizers import Tokenizer as Library

    path = ready(kind, tmp_path)
    library, tokenizer = Library.from_file(str(path)), Tokenizer.load(path)
    library.no_padding()
    library.no_truncation()
    assert tokenizer.kind == "ready" and tokenizer.vocabulary_size == library.get_vocab_size() + 1
    assert tokenizer.symbols[0] == ZERO_SYMBOL and "<s>" in tokenizer.symbols
    for text in SENTENCES:
        ids = tokenizer.encode(text)
        assert [number - 1 for number in ids] == library.encode(text, add_special_tokens=False).ids
        assert tokenizer.decode([0, *ids, 0]) == text
    assert tokenizer.encode("") == [] and tokenizer.decode([]) == ""
    special = tokenizer.symbols.index("</s>")
    assert tokenizer.decode([special, *tokenizer.encode(SENTENCES[0])]) == SENTENCES[0]
    with pytest.raises(ValueError, match="ids: expected 0 to"):
        tokenizer.decode([tokenizer.vocabulary_size])


@pytest.mark.parametrize("kind", ["byte-level", "unigram", "wordpiece"])
def test_a_ready_tokenizer_is_saved_pickled_and_extended_as_it_is(kind: str, tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(ready(kind, tmp_path))
    tokenizer.save(tmp_path / "tokenizer.json")
    same, mapping = tokenizer.extend(["new texts"])
    assert mapping == {index: index for index in range(tokenizer.vocabulary_size)}
    for other in (Tokenizer.load(tmp_path / "tokenizer.json"), same, pickle.loads(pickle.dumps(tokenizer))):
        assert other.symbols == tokenizer.symbols
        assert other.encode(SENTENCES[0]) == tokenizer.encode(SENTENCES[0])


@pytest.mark.parametrize("kind", ["byte-level", "unigram", "wordpiece"])
def test_a_ready_tokenizer_refuses_what_it_would_not_give_back(kind: str, tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(ready(kind, tmp_path))
    assert kind != "byte-level" or tokenizer.decode(tokenizer.encode("Züri \u4e2d")) == "Züri \u4e2d"
    if kind != "byte-level":
        with pytest.raises(EchoError, match="text 'The züri': the ready tokenizer decodes it to '.*text.normalizer"):
            tokenizer.encode("The züri")
        assert 0 not in tokenizer.encode("The züri", unknown="skip")


@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_extending_keeps_the_old_ids_and_appends(kind: str) -> None:
    old = trained(kind)
    new, mapping = old.extend(["zebra crossing", "the cat"])
    assert mapping == {index: index for index in range(old.vocabulary_size)}
    assert [new.symbols[mapping[index]] for index in mapping] == old.symbols
    assert new.symbols[old.vocabulary_size :] == sorted(set("zebra crossing") - set("".join(SENTENCES)))
    assert new.encode("the cat") == old.encode("the cat")
    assert new.decode(new.encode("zebra crossing the cat")) == "zebra crossing the cat"
    with pytest.raises(EchoError, match="no symbol"):
        old.encode("zebra")


@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_extending_by_nothing_new_and_saving_after_extending(kind: str, tmp_path) -> None:
    old = trained(kind)
    assert old.extend(["the hat", ""])[0].symbols == old.symbols
    new, _ = old.extend(["zoo"])
    new.save(tmp_path / "tokenizer.json")
    assert Tokenizer.load(tmp_path / "tokenizer.json").encode("the zoo") == new.encode("the zoo")


@pytest.mark.parametrize("kind", ["character", "bpe"])
def test_a_tokenizer_pickles(kind: str) -> None:
    tokenizer = trained(kind)
    assert pickle.loads(pickle.dumps(tokenizer)).encode("that mat") == tokenizer.encode("that mat")


def test_normalised_pinyin_survives_both_ways() -> None:
    tokenizer = Tokenizer.train(SYLLABLES)
    for text in SYLLABLES:
        assert tokenizer.decode(tokenizer.encode(make_normalizer("basic")(text))) == text


def test_training_without_characters() -> None:
    for texts in ([], ["", ""]):
        with pytest.raises(EchoError, match="the training texts have no character"):
            Tokenizer.train(texts)


@pytest.mark.parametrize("size", [None, 0, 4])
def test_a_size_that_does_not_hold_the_characters(size: int | None) -> None:
    with pytest.raises(EchoError, match=f"tokenizer size: expected at least 5 for bpe.* got {size}"):
        Tokenizer.train(["ab cc"], "bpe", size=size)
    assert Tokenizer.train(["ab cc"], "bpe", size=5).vocabulary_size == 5


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="kind: expected character, profile or bpe, got 'word'"):
        Tokenizer.train(["a"], "word")
