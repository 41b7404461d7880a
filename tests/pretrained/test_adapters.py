"""Pitch adapters in the encoders of transformers: tiny ones of each family, with random weights."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from echo_asr.pretrained.adapters import adapt
from echo_asr.pretrained.whisper import WhisperEncoder
from echo_asr.vrope import PitchAdapters, PitchTrack
from echo_asr.vrope import adapt as adapt_any
from tests.helpers.slow import slow

transformers = pytest.importorskip("transformers")

README = Path(__file__).parents[2] / "README.md"

WIDTH, HEADS, LAYERS = 32, 2, 2
TINY = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "intermediate_size": 48}
CONVOLUTIONS = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
NO_MASKS = {"apply_spec_augment": False, "layerdrop": 0.0}
GROUP, STABLE = {"feat_extract_norm": "group"}, {"feat_extract_norm": "layer", "do_stable_layer_norm": True}


def whisper() -> Any:
    layers = {"encoder_layers": LAYERS, "encoder_attention_heads": HEADS, "encoder_ffn_dim": 48}
    config = transformers.WhisperConfig(d_model=WIDTH, num_mel_bins=8, max_source_positions=11, dropout=0.1, **layers)
    return transformers.models.whisper.modeling_whisper.WhisperEncoder(config)


def like_wav2vec2(family: str, **settings: Any) -> Any:
    config = getattr(transformers, f"{family}Config")(**TINY, **CONVOLUTIONS, **NO_MASKS, **settings)
    return getattr(transformers, f"{family}Model")(config)


def omniasr() -> Any:
    config = transformers.OmniASRAudioConfig(**TINY, **CONVOLUTIONS, layerdrop=0.0)
    return transformers.OmniASRAudioModel(config)


def w2v_bert(positions: str | None) -> Any:
    config = transformers.Wav2Vec2BertConfig(**TINY, **NO_MASKS, position_embeddings_type=positions, add_adapter=True)
    return transformers.Wav2Vec2BertModel(config)


def moonshine() -> Any:
    heads = {"encoder_num_attention_heads": HEADS, "encoder_num_hidden_layers": LAYERS, "attention_dropout": 0.1}
    config = transformers.MoonshineConfig(hidden_size=WIDTH, intermediate_size=48, **heads)
    return transformers.models.moonshine.modeling_moonshine.MoonshineEncoder(config)


def parakeet() -> Any:
    size = {"subsampling_conv_channels": 8, "num_mel_bins": 16, "layerdrop": 0.0}
    return transformers.ParakeetEncoder(transformers.ParakeetEncoderConfig(**TINY, **size))


FAMILIES: dict[str, Callable[[], Any]] = {
    "whisper": whisper,
    "wav2vec2, group norm": lambda: like_wav2vec2("Wav2Vec2", **GROUP),
    "wav2vec2, layer norm": lambda: like_wav2vec2("Wav2Vec2", **STABLE),
    "hubert, group norm": lambda: like_wav2vec2("Hubert", **GROUP),
    "hubert, layer norm": lambda: like_wav2vec2("Hubert", **STABLE),
    "wavlm, group norm": lambda: like_wav2vec2("WavLM", **GROUP),
    "wavlm, layer norm": lambda: like_wav2vec2("WavLM", **STABLE),
    "w2v-bert, relative key": lambda: w2v_bert("relative_key"),
    "w2v-bert, relative": lambda: w2v_bert("relative"),
    "w2v-bert, rotary": lambda: w2v_bert("rotary"),
    "moonshine": moonshine,
    "omniasr": omniasr,
    "parakeet": parakeet,
}
every_family = pytest.mark.parametrize("family", FAMILIES)


def build(family: str, attention: str = "sdpa") -> Any:
    """An encoder whose tensors are all away from their start, as it is for inference."""
    torch.manual_seed(1)
    network = FAMILIES[family]()
    if attention == "eager" and "wavlm" not in family:
        network.set_attn_implementation(attention)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return network.eval()


def inputs(family: str, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Two recordings, of which the second is shorter and padded."""
    torch.manual_seed(2)
    if family == "whisper":
        features = torch.randn(2, 8, 22, dtype=dtype)
        features[1, :, 12:] = 0.0
        return {"input_features": features}
    name, shape, end = "input_values", (2, 4000), 2500
    if family.startswith("w2v-bert"):
        name, shape, end = "input_features", (2, 11, 160), 7
    if family == "parakeet":
        name, shape, end = "input_features", (2, 90, 16), 50
    values = torch.randn(shape, dtype=dtype)
    values[1, end:] = 0.0
    mask = torch.ones(shape[:2], dtype=torch.long)
    mask[1, end:] = 0
    if family == "omniasr":
        return {name: values[:, None], "padding_mask": mask}
    return {name: values, "attention_mask": mask}


def run(network: nn.Module, given: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """What all layers give."""
    torch.manual_seed(3)  # of dropout
    out = network(**given, output_hidden_states=True)
    return (out.last_hidden_state, *out.hidden_states)


def track_for(states: tuple[Tensor, ...], seed: int = 0, higher: float = 1.0) -> PitchTrack:
    """F0 that jumps between 80 and 400 Hz, and is measured in two states of three."""
    random = torch.Generator().manual_seed(seed)
    f0, voiced = torch.rand(2, *states[1].shape[:2], generator=random)
    return PitchTrack.from_f0(higher * 80.0 * 5.0**f0 * (voiced > 0.3), step=2)


def train(adapters: PitchAdapters, spread: float = 0.5) -> None:
    with torch.no_grad():
        for parameter in adapters.parameters():
            parameter.normal_(std=spread)


@every_family
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("attention", ["sdpa", slow("eager")])
def test_nothing_changes_before_training(family: str, attention: str, dtype: torch.dtype) -> None:
    """To the bit: padded and batched, for use and then with the dropout of training."""
    network, given = build(family, attention).to(dtype), inputs(family, dtype)
    state = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    names = set(state)
    before = [run(network.train(mode), given) for mode in (False, True)]
    network.load_state_dict(state)  # statistics of batches were gathered
    adapters = adapt(network)
    with adapters.pitch(track_for(before[0])):
        after = [run(network.train(mode), given) for mode in (False, True)]
    for one, other in zip(before, after, strict=True):
        assert len(one) == len(other) == 2 + LAYERS
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert names < set(network.state_dict())
    assert len(adapters.state_dict()) == 1 + 2 * LAYERS == len(set(network.state_dict()) - names)


@every_family
def test_two_updates_reach_every_parameter_and_nothing_else(family: str) -> None:
    network, given = build(family).requires_grad_(False), inputs(family)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    states = run(network, given)
    wanted = torch.randn_like(states[0])
    adapters = adapt(network)
    reached: set[str] = set()
    optimizer = torch.optim.Adam(adapters.parameters(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        with adapters.pitch(track_for(states)):
            (run(network, given)[0] - wanted).square().mean().backward()
        reached |= {name for name, p in adapters.named_parameters() if p.grad is not None and (p.grad != 0).all()}
        optimizer.step()
    assert reached == set(adapters.state_dict())
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in before.items())


@every_family
def test_trained_adapters_go_into_another_encoder(family: str) -> None:
    network, given = build(family), inputs(family)
    states = run(network, given)
    adapters, track = adapt(network), track_for(states)
    train(adapters)
    with adapters.pitch(track):
        out = run(network, given)
    assert not torch.equal(out[0], states[0])
    other = build(family)
    handle = adapt(other)
    handle.load_state_dict(adapters.state_dict())
    with handle.pitch(track):
        assert torch.equal(run(other, given)[0], out[0])
    adapters.strip()
    assert all(torch.equal(a, b) for a, b in zip(run(network, given), states, strict=True))


@every_family
def test_a_whole_voice_may_be_higher(family: str) -> None:
    """Whatever the encoder's own positions, turns see differences of pitch alone. In padding pitch differs, too."""
    network, given = build(family).double(), inputs(family, torch.float64)
    states = run(network, given)
    adapters = adapt(network)
    train(adapters)
    nn.init.zeros_(dict(adapters.named_parameters())["input.weight"])
    outputs = []
    for track in (track_for(states), track_for(states, higher=1.5), track_for(states, seed=1)):
        with adapters.pitch(track):
            outputs.append(run(network, given)[0][0])
    torch.testing.assert_close(outputs[0], outputs[1], atol=1e-5, rtol=1e-5)  # of F0 in float32
    assert (outputs[0] - outputs[2]).abs().max() > 1e-3


@pytest.mark.parametrize("family", ["wav2vec2, layer norm", "wavlm, group norm", slow("w2v-bert, relative key")])
def test_lora_acts_before_pitch_whichever_comes_first(family: str) -> None:
    peft = pytest.importorskip("peft")
    given, outputs = inputs(family), []
    track = track_for(run(build(family), given))
    names = ["q_proj", "k_proj", "v_proj", "out_proj", "linear_q", "linear_k", "linear_v", "linear_out"]
    for pitch_first in (False, True):
        network = build(family)
        handle = adapt(network) if pitch_first else None
        peft.inject_adapter_in_model(peft.LoraConfig(r=2, target_modules=names), network)
        adapters = handle or adapt(network)
        torch.manual_seed(4)
        with torch.no_grad():
            for name, parameter in sorted(network.named_parameters()):
                if "lora" in name:
                    parameter.normal_()
        train(adapters)
        with adapters.pitch(track):
            outputs.append(run(network, given)[0])
            torch.manual_seed(5)
            grown = [p for n, p in network.named_parameters() if "lora_B" in n]
            gradients = torch.autograd.grad(run(network, given)[0][..., 0].sum(), grown, allow_unused=True)
            assert all(gradient is not None and gradient.any() for gradient in gradients)
    assert torch.equal(*outputs)


@pytest.mark.parametrize("family", ["whisper", "wavlm, layer norm", slow("moonshine"), slow("parakeet")])
def test_layers_that_are_recomputed(family: str) -> None:
    """As transformers switches it on, with the backward pass outside of the context."""
    given, gradients = inputs(family), []
    track = track_for(run(build(family), given))
    for recomputed in (False, True):
        network = build(family)
        adapters = adapt(network)
        train(adapters)
        if recomputed:
            contexts = {"use_reentrant": False, "context_fn": adapters.checkpoint_contexts}
            network.activation_checkpointing_enable(contexts)
        torch.manual_seed(3)
        with adapters.pitch(track):
            loss = network.train()(**given).last_hidden_state[..., 0].sum()
        loss.backward()
        gradients.append([parameter.grad for parameter in adapters.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_time_and_pitch_turn_the_same_pairs_of_moonshine() -> None:
    """Its scores depend on how far apart two states are in time, wherever they are, and in pitch."""
    network = build("moonshine").double()
    adapters = adapt(network)
    train(adapters)
    attention, states, outputs = network.layers[1].self_attn, torch.randn(1, 6, WIDTH).double(), []
    track = PitchTrack.from_f0(torch.tensor([[100.0, 150.0, 90.0, 200.0, 300.0, 120.0]]))
    for start in (0, 40):
        turns = network.rotary_emb(states, torch.arange(start, start + 6)[None])
        with adapters.pitch(track):
            outputs.append(attention(states, position_embeddings=turns)[0])
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)  # of turns by time in float32


def test_wavlm_needs_its_own() -> None:
    network, given = build("wavlm, group norm"), inputs("wavlm")
    track = track_for(run(network, given))
    with adapt_any(network).pitch(track):
        with pytest.raises(TypeError, match="WavLMAttention.forward does not call q_proj, .*pretrained.adapters"):
            run(network, given)


def test_states_of_a_recording_of_any_length() -> None:
    encoder = WhisperEncoder(build("whisper"), {})
    samples, lengths = 0.1 * torch.randn(2, 2400), torch.tensor([2400, 1500])
    samples[1, 1500:] = 0.0
    before = encoder.states(samples, lengths, [0, 1, 2])
    with adapt(encoder.network).pitch(track_for(before)):
        after = encoder.states(samples, lengths, [0, 1, 2])
    assert before[0].shape == (2, 8, WIDTH)
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_parts_of_a_long_recording_read_their_own_part_of_the_track() -> None:
    """Of 50 states 11 are encoded at a time."""
    encoder = WhisperEncoder(build("whisper"), {})
    samples, lengths = 0.1 * torch.randn(2, 16_000), torch.tensor([16_000, 11_000])
    samples[1, 11_000:] = 0.0
    encoder.adapters = adapters = adapt(encoder.network)
    track, other = (track_for((samples, torch.zeros(2, 50, WIDTH)), seed) for seed in (0, 1))
    train(adapters)

    def states(f0: Tensor) -> Tensor:
        with adapters.pitch(replace(track, f0=f0)):
            return encoder.states(samples, lengths, [2])[0]

    found = states(track.f0)
    changed = states(torch.cat((track.f0[:, :33], other.f0[:, 33:]), dim=1))
    assert torch.equal(changed[:, :33], found[:, :33])
    assert (changed[0, 33:] - found[0, 33:]).abs().amax(-1).min() > 1e-3


def test_an_encoder_alone_is_adapted_of_a_model_with_a_decoder() -> None:
    config = transformers.WhisperConfig(
        d_model=WIDTH, encoder_layers=2, decoder_layers=3, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=48, decoder_ffn_dim=48, vocab_size=20, pad_token_id=0,
    )  # fmt: skip
    model = transformers.WhisperModel(config)
    assert len(adapt(model).state_dict()) == 5
    with pytest.raises(ValueError, match="WhisperDecoder: no list of layers with one attention module each"):
        adapt(transformers.WhisperModel(config).decoder)


def test_the_lines_of_the_readme_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tiny network in place of the one of the hub."""
    (section,) = re.findall(r"## Pitch inside a pretrained.*?```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    assert len([line for line in section.splitlines() if line]) <= 10
    tiny = build("wav2vec2, group norm")
    monkeypatch.setattr(transformers.Wav2Vec2Model, "from_pretrained", lambda name: tiny)
    names: dict[str, Any] = {}
    exec(section, names)
    assert names["states"].shape == (1, 49, WIDTH)
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    names["states"].square().sum().backward()
    names["optimizer"].step()
    changed = {name for name, tensor in tiny.state_dict().items() if not torch.equal(tensor, before[name])}
    assert len(changed) == len(names["adapters"].state_dict())
