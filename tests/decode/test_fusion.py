import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from echo_asr.decode.fusion import Fusion
from echo_asr.decode.hotwords import Hotwords
from echo_asr.decode.ngram import build_language_model
from echo_asr.decode.search import DecodeConfig, Hypothesis, make_fusion, search, search_nbest
from echo_asr.model.echo import Echo
from echo_asr.text.normalize import normalize_basic
from echo_asr.text.tokenizer import Tokenizer
from tests.helpers.plain_search import LETTERS, TOKENIZER, Arpa, Table, along, needs_kenlm

Make = Callable[..., Any]
# --- the fused score


class Draw:
    """A language model whose scores are random numbers, of the whole text before."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def start(self) -> tuple[int, ...]:
        return ()

    def score(self, state: tuple[int, ...], tokens: Sequence[int]) -> list[float]:
        return [-4.0 * zlib.crc32(f"{self.seed} {state} {token}".encode()) / 2**32 for token in tokens]

    def advance(self, state: tuple[int, ...], token: int) -> tuple[int, ...]:
        return (*state, token)


@pytest.mark.parametrize("bonus", [0.0, 0.9, 3.0])
@pytest.mark.parametrize("weight", [0.0, 0.4, 2.0])
def test_no_beam_stops_before_the_best_text_with_all_that_is_added(weight: float, bonus: float) -> None:
    """Texts of `a` and `b`, all of them compared; the hotwords are `a b`-like only in that they may stand anywhere."""
    config = DecodeConfig(beam=40, nbest=3, ctc_weight=0.3)
    tokenizer = Tokenizer.train(["ab"])
    for seed in range(6):
        words = Hotwords(("ab", "bba"), tokenizer, normalize_basic, bonus)
        draw = Draw(seed)
        fusion = Fusion(draw, weight, words)

        def more(text: tuple[int, ...], draw: Any = draw, words: Hotwords = words) -> float:
            state, earned = words.start(), 0.0
            for token in (*text, 0):
                earned += bonus * words.step(state, token)[0]
                state = words.advance(state, token)
            return weight * sum(along(draw, text)) + earned

        for table in (Table(seed, (4,)), Table(seed, (4, 2, 3))):
            for row, found in enumerate(search_nbest(table, table.encoded(), config, fusion)):  # type: ignore[arg-type]
                scores = table.scores(row, config, more)
                best = sorted(scores, key=lambda text: -scores[text])[:3]
                assert [tuple(h.tokens) for h in found] == best
                assert [h.score for h in found] == pytest.approx([scores[text] for text in best], abs=1e-5)


def test_the_language_model_is_asked_of_the_best_tokens_the_hotwords_and_the_end() -> None:
    asked: list[Sequence[int]] = []

    class FakeRecognizer(Draw):
        def score(self, state: tuple[int, ...], tokens: Sequence[int]) -> list[float]:
            asked.append(tokens)
            return super().score(state, tokens)

    words = Hotwords(("zoo",), LETTERS, normalize_basic, 50.0)
    (z,) = LETTERS.encode("z")
    scores = torch.randn(1, 29, generator=torch.Generator().manual_seed(0), dtype=torch.float64).repeat(2, 1)
    scores[:, z] = -20.0
    fusion = Fusion(FakeRecognizer(0), 0.5, words)
    for keep in (1, 5, 28):
        asked.clear()
        added = fusion.added(scores, [fusion.start()] * 2, keep)
        expected = {0, z, *(1 + scores[0, 1:].argsort(descending=True)[: keep - 1]).tolist()}
        assert [set(tokens) for tokens in asked] == [expected] * 2 and len(asked[0]) == keep + 1
        assert set(added[0].isfinite().nonzero()[:, 0].tolist()) == expected
        assert added[0, z] == pytest.approx(50 + 0.5 * Draw(0).score((), [z])[0])
        assert added[0, 0] == pytest.approx(0.5 * Draw(0).score((), [0])[0])
    assert fusion.added(scores, [fusion.start()] * 2, 29).isfinite().all()


class Undecided:
    """A model that knows a few texts with their probabilities, and little of anything else."""

    vocabulary_size, device = LETTERS.vocabulary_size, torch.device("cpu")

    def __init__(self, **texts: float) -> None:
        self.texts = {tuple(LETTERS.encode(text.replace("_", " "))): p for text, p in texts.items()}
        self.decoder = self

    def state(self, encoded: Any) -> Any:
        state = SimpleNamespace(prefixes=[()] * len(encoded.lengths))
        state.select = lambda rows, memory=True: setattr(state, "prefixes", [state.prefixes[i] for i in rows.tolist()])
        return state

    def predict(self, tokens: torch.Tensor, state: Any) -> torch.Tensor:
        state.prefixes = [(*p, *(t for t in new if t)) for p, new in zip(state.prefixes, tokens.tolist(), strict=True)]
        found = torch.full((len(tokens), 1, self.vocabulary_size), 1e-5, dtype=torch.float64)
        for row, prefix in enumerate(state.prefixes):
            for text, probability in self.texts.items():
                if text[: len(prefix)] == prefix:
                    found[row, 0, [*text, 0][len(prefix)]] += probability
            found[row, 0, 0] += found[row].max() < 1e-4  # what begins no text ends
        return (found / found.sum(-1, keepdim=True)).log()

    def hear(self, **options: Any) -> str:
        config = DecodeConfig(beam=4, ctc_weight=0.0, **options)
        encoded = SimpleNamespace(lengths=torch.tensor([40]))
        fusion = make_fusion(config, LETTERS, normalize_basic)
        (found,) = search(self, encoded, config, fusion)  # type: ignore[arg-type]
        return LETTERS.decode(found.tokens)


def test_a_hotword_wins_where_the_sound_leaves_it_open() -> None:
    near = Undecided(the_cot_sat=0.9, the_cat_sat=0.1)
    assert near.hear() == "the cot sat"
    assert near.hear(hotwords=("Cat",), hotword_bonus=1.0) == "the cat sat"
    assert near.hear(hotwords=("Cat",), hotword_bonus=0.5) == "the cot sat", "1.5 nats are less than 2.2"
    assert near.hear(hotwords=("cat", "cot"), hotword_bonus=1.0) == "the cot sat"
    assert near.hear(hotwords=("category", "cats"), hotword_bonus=1.0) == "the cot sat", "never completed"


def test_a_hotword_is_not_put_where_it_was_not_said() -> None:
    sure = Undecided(the_cot_sat=1.0 - 1e-4, the_mat=1e-4)
    for word in ("cat", "kathleen", "mat", "the cat", "sat on"):
        assert sure.hear(hotwords=(word,), hotword_bonus=2.0) == "the cot sat"
    assert sure.hear(hotwords=("mat",), hotword_bonus=5.0) == "the mat", "fifteen nats are worth more than nine"


@needs_kenlm
def test_a_language_model_wins_where_the_sound_leaves_it_open(tmp_path: Path) -> None:
    path = tmp_path / "lm.arpa"
    build_language_model(["the cat sat", "a cat ran", "cats sit"] * 5, LETTERS, normalize_basic, 5, path)
    near = Undecided(the_cot_sat=0.7, the_cat_sat=0.3)
    assert near.hear() == near.hear(lm=str(path), lm_weight=0.01) == "the cot sat"
    assert near.hear(lm=str(path), lm_weight=0.5) == "the cat sat"
    assert Undecided(the_cot_sat=1.0).hear(lm=str(path), lm_weight=0.5) == "the cot sat"


# --- in the models of Echo


@needs_kenlm
@pytest.mark.parametrize("seed", range(3))
def test_a_strong_language_model_has_its_sentence(
    seed: int, make_model: Make, make_batch: Make, tmp_path: Path
) -> None:
    path = tmp_path / "lm.arpa"
    build_language_model(["bad cab"] * 50, TOKENIZER, normalize_basic, 6, path)
    model: Echo = make_model(seed=seed, subsampling=2)
    config = DecodeConfig(beam=6, lm=str(path), lm_weight=30.0)
    fusion = make_fusion(config, TOKENIZER, normalize_basic)
    for found in search(model, model.encode(make_batch([60, 44], seed=seed)), config, fusion):
        assert TOKENIZER.decode(found.tokens) == "bad cab"


def options(arpa: Path, name: str) -> DecodeConfig:
    config = {
        "language model": {"lm": str(arpa), "lm_weight": 0.6},
        "narrow, language model": {"lm": str(arpa), "lm_weight": 0.6, "beam": 2, "length_bonus": 0.5},
        "hotwords": {"hotwords": ("bed", "bad cab", "e"), "hotword_bonus": 1.2},
        "both": {"lm": str(arpa), "hotwords": ("bed", "dad"), "hotword_bonus": 0.7, "ctc_weight": 0.7},
    }[name]
    return DecodeConfig(**{"beam": 4, **config})  # type: ignore[arg-type]


@needs_kenlm
@pytest.mark.parametrize("name", ["language model", "narrow, language model", "hotwords", "both"])
def test_scores_are_those_of_the_text_and_do_not_depend_on_the_batch(
    name: str, arpa: Path, make_model: Make, make_batch: Make, cut: Make
) -> None:
    """However the places were reordered on the way: what is added for a text, and the rest of its score."""
    plain = Arpa(arpa.read_text(encoding="utf-8"))
    config = options(arpa, name)
    fusion = make_fusion(config, TOKENIZER, normalize_basic)
    assert fusion is not None
    spoken = set()
    for seed in range(3):
        model: Echo = make_model(seed=seed, subsampling=2, decoder_layers=2)
        with torch.no_grad():
            model.decoder.end_bias.fill_(-2.0)
        batch = make_batch([60, 31, 9, 44], seed=seed)
        for row, found in enumerate(search(model, model.encode(batch), config, fusion)):
            encoded = model.encode(cut(batch, row))
            (alone,) = search(model, encoded, config, fusion)
            assert found.tokens == alone.tokens and found.score == pytest.approx(alone.score, abs=1e-3)
            added = config.length_bonus * len(found.tokens)
            if config.lm:
                words = ("<s>", *map(str, found.tokens), "</s>")
                logs = (plain.score(words[:place], words[place]) for place in range(1, len(words)))
                added += config.lm_weight * math.log(10) * sum(logs)
            if fusion.hotwords is not None:
                state = fusion.hotwords.start()
                for token in (*found.tokens, 0):
                    added += config.hotword_bonus * fusion.hotwords.step(state, token)[0]
                    state = fusion.hotwords.advance(state, token)
            assert found.score - added == pytest.approx(joint(model, encoded, found.tokens, config), abs=1e-3)
            spoken.add(tuple(found.tokens))
    assert len(spoken) > 6, "there is something to tell apart"


@torch.inference_mode()
def joint(model: Echo, encoded: Any, text: list[int], config: DecodeConfig) -> float:
    """Score of a text by attention and CTC alone, without a cache."""
    state = model.decoder.state(encoded, cached=False)
    logp = model.predict(torch.tensor([[0, *text]]), state)[0]
    score = (1 - config.ctc_weight) * float(sum(logp[place, token] for place, token in enumerate([*text, 0])))
    ctc = model.ctc_log_probabilities(encoded).double().transpose(0, 1)
    lengths = torch.tensor([len(ctc)]), torch.tensor([len(text)])
    return score - config.ctc_weight * float(
        torch.nn.functional.ctc_loss(ctc, torch.tensor([text or [1]]), *lengths, reduction="sum")
    )


def test_a_weight_of_zero_changes_nothing(make_model: Make, make_batch: Make, tmp_path: Path) -> None:
    config = DecodeConfig(beam=4, lm=str(tmp_path / "none.arpa"), lm_weight=0.0, hotwords=("bad",), hotword_bonus=0.0)
    assert make_fusion(config, TOKENIZER, normalize_basic) is None
    model: Echo = make_model()
    encoded = model.encode(make_batch())
    plain = search(model, encoded, DecodeConfig(beam=4))
    assert search(model, encoded, config) == plain
    words = Fusion(Draw(0), 0.0, Hotwords(("bad",), TOKENIZER, normalize_basic, 0.0))
    found = search(model, encoded, config, words)
    assert [h.tokens for h in found] == [h.tokens for h in plain]
    assert [h.score for h in found] == pytest.approx([h.score for h in plain])


@pytest.mark.parametrize("wanted", [{"lm": "a.arpa"}, {"hotwords": ("bad",)}])
def test_what_the_configuration_has_is_not_left_out_unnoticed(
    wanted: dict[str, Any], make_model: Make, make_batch: Make
) -> None:
    model: Echo = make_model()
    with pytest.raises(
        ValueError, match="fusion: decode.lm or decode.hotwords is set; expected the result of make_fusion"
    ):
        search(model, model.encode(make_batch()), DecodeConfig(beam=2, **wanted))


def test_nobody_hears_hotwords_in_silence(make_model: Make, make_batch: Make) -> None:
    model: Echo = make_model()
    with torch.no_grad():
        model.decoder.end_bias.fill_(50.0)
        model.ctc_head.bias[0] = 50.0
    config = DecodeConfig(beam=4, hotwords=("bad", "cab"))
    fusion = make_fusion(config, TOKENIZER, normalize_basic)
    found = search(model, model.encode(make_batch([40, 1, 9])), config, fusion)
    assert found == [Hypothesis([], pytest.approx(0.0, abs=1e-6))] * 3
