from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from echo_asr.features import FeatureBatch
from echo_asr.model.echo import Echo
from echo_asr.model.encoder import encoder_input, pitch_channels, pitch_track
from echo_asr.model.options.silence_stop import CLOSING_FRAMES

Make = Callable[..., Any]


def test_the_track_is_that_of_the_batch(make_batch: Make) -> None:
    batch = make_batch()
    track = pitch_track(batch)
    assert torch.equal(track.f0, batch.track) and torch.equal(track.voicing, batch.voicing)
    assert torch.equal(track.energy, batch.pitch[:, 1]) and torch.equal(track.null, batch.null)
    assert torch.equal(track.padding.sum(1), batch.null.shape[1] - batch.lengths)


@pytest.mark.parametrize("reference", ["fixed", "utterance"])
def test_pitch_channels_are_octaves_where_voiced_and_zero_elsewhere(make_batch: Make, reference: str) -> None:
    batch = make_batch()
    z, voicing, energy, periodicity = pitch_channels(batch, reference).unbind(1)
    for row in range(len(batch.lengths)):
        f0 = batch.pitch[row, 0][batch.pitch[row, 0] > 0]
        middle = 220.0 if reference == "fixed" else f0.sort().values[(len(f0) - 1) // 2]
        torch.testing.assert_close(z[row][batch.voicing[row] > 0], torch.log2(f0 / middle), atol=1e-5, rtol=1e-5)
        assert 0 < len(f0) < batch.lengths[row]
    silent = batch.voicing == 0
    assert not z[silent].any() and not voicing[silent].any()
    assert torch.equal(energy, batch.pitch[:, 1]) and torch.equal(periodicity, batch.pitch[:, 2])
    assert not pitch_channels(batch, reference).transpose(1, 2)[batch.padding].any()


def test_at_first_an_encoder_hears_the_shape_of_a_spectrum_and_not_its_level(
    make_config: Make, make_batch: Make
) -> None:
    """What all mel bins have in common goes by unheard, also beside stacked pitch, which is heard; and blocks leave
    what the front end says nearly as it is."""
    torch.manual_seed(0)
    model = Echo(make_config(features=("spectrogram", "pitch"), pitch_input=True), 7, 8).eval()
    batch: FeatureBatch = make_batch([40])
    tilt = torch.linspace(-0.1, 0.1, 8)[None, :, None]

    def front(name: str = "spectrogram", **changed: Tensor) -> Tensor:
        """Away from the ends, where a level is a difference from the zero beyond."""
        heard = encoder_input(replace(batch, **changed), name, model.config)
        return model.encoders[name].front(heard, batch.lengths)[:, 2:-2]

    with torch.inference_mode():
        plain = front()
        torch.testing.assert_close(front(spectrogram=batch.spectrogram + 0.3), plain, atol=1e-4, rtol=0.0)
        assert (front(spectrogram=batch.spectrogram + tilt) - plain).abs().mean() > 0.05
        assert (front(pitch=batch.pitch * 1.3) - plain).abs().mean() > 0.01
        for name, states in model.encode(batch).states.items():
            assert 0.0 < (states[:, 2:-2] - model.encoders[name].norm(front(name))).square().mean() < 0.1


def test_at_first_a_waveform_is_not_lost_among_constants(make_config: Make) -> None:
    """Speech-like noise at the level of recordings, a syllable and a pause in turn, moves what each layer says."""
    config = make_config(features=("waveform",), ctc_feature="waveform", width=144, heads=3)
    torch.manual_seed(0)
    encoder = Echo(config, 7, 8).encoders["waveform"].eval()
    syllables = torch.arange(48_000).div(3_200).floor().remainder(2.0)
    heard = 0.2 * torch.randn(1, 1, 48_000) * syllables
    lengths = torch.tensor([300])
    with torch.inference_mode():
        frames = encoder.wave(heard, lengths)[0]
        inside = encoder.front(encoder.wave(heard, lengths), lengths)[0, 2:-2]
    assert 0.2 < frames.std(dim=1).mean() < 2.0
    assert inside.std(dim=0).mean() > 0.3, "of values that have a variance of one"


def test_padding_and_batch_size_change_no_state(
    encoding: dict[str, Any], make_model: Make, make_batch: Make, cut: Make
) -> None:
    model: Echo = make_model(**encoding)
    batch: FeatureBatch = make_batch()
    with torch.inference_mode():
        together = model.encode(batch)
        for row in range(len(batch.lengths)):
            alone = model.encode(cut(batch, row))
            frames = int(alone.lengths[0])
            heard = int(batch.lengths[row]) + (0 if model.config.stop == "token" else CLOSING_FRAMES)
            assert frames == -(-heard // model.config.subsampling) == together.lengths[row]
            assert not alone.track.padding.any() and together.track.padding[row, frames:].all()
            for name, states in alone.states.items():
                torch.testing.assert_close(together.states[name][row, :frames], states[0], rtol=1e-4, atol=1e-5)
            for name in ("f0", "voicing", "energy", "null"):
                torch.testing.assert_close(getattr(together.track, name)[row, :frames], getattr(alone.track, name)[0])


def test_a_state_depends_on_every_frame_of_its_recording(
    encoding: dict[str, Any], make_model: Make, make_batch: Make
) -> None:
    """The opposite of the last test: encoders look both ways, and through the whole recording."""
    model: Echo = make_model(**{**encoding, "vrope": {**encoding.get("vrope", {}), "nulls": "none"}})
    batch: FeatureBatch = make_batch([24])
    for name in model.config.features:
        sound = getattr(batch, name)
        seen = torch.zeros_like(sound).requires_grad_()
        changed = replace(batch, **{name: sound + seen})
        state = model.encode(changed).states[name]
        for index in (0, state.shape[1] - 1):
            (gradient,) = torch.autograd.grad(state[0, index, 0], seen, retain_graph=True)
            read = gradient[0].abs().sum(0)[:: 2 if name == "states" else 1]  # of states every other, which hold all
            assert read.min() > 0


@pytest.mark.parametrize(
    "vrope",
    [
        {"theta": "static", "radius": "acoustic"},
        {"theta": "axis", "radius": "acoustic", "bias": "quadratic"},
        {"theta": "axis", "bias": "laplace"},
        {"theta": "axis", "rotate_values": True},
    ],
    ids=str,
)
def test_about_the_utterances_own_median_a_transposed_voice_is_the_same(
    vrope: dict[str, Any], make_model: Make, make_batch: Make
) -> None:
    batch: FeatureBatch = make_batch()
    higher = replace(batch, track=batch.track * 1.4)
    with torch.inference_mode():
        for reference in ("utterance", "fixed"):
            model: Echo = make_model(vrope={**vrope, "reference": reference})
            before, after = model.encode(batch), model.encode(higher)
            inside = ~before.track.padding
            same = [
                torch.allclose(before.states[name][inside], after.states[name][inside], atol=1e-4)
                for name in ("spectrogram", "pitch")
            ]
            assert all(same) if reference == "utterance" else not same[1]


@pytest.mark.parametrize("theta", ["static", "mean", "frame", "integrated", "mapped", "axis"])
def test_the_voice_turns_the_wheel_of_every_theta_but_static(theta: str, make_model: Make, make_batch: Make) -> None:
    """The spectrogram's encoder hears of F0 through positions alone."""
    model: Echo = make_model(vrope={"theta": theta})
    batch: FeatureBatch = make_batch([24])
    other = replace(batch, track=batch.track.flip(1) * 1.3)
    with torch.inference_mode():
        before, after = (model.encode(b).states["spectrogram"] for b in (batch, other))
    assert torch.equal(before, after) == (theta == "static")


@pytest.mark.parametrize("options", [{"positions": "sinusoidal", "vrope": {"theta": "none"}}, {"positions": "both"}])
def test_whispers_sinusoids_are_added_before_the_first_block(
    options: dict[str, Any], make_model: Make, make_batch: Make
) -> None:
    model: Echo = make_model(**options)
    batch: FeatureBatch = make_batch([20])
    encoder = model.encoders["spectrogram"]
    heard: list[torch.Tensor] = []
    hook = encoder.blocks[0].register_forward_pre_hook(lambda _, inputs: heard.append(inputs[0]))
    model.encode(batch)
    hook.remove()
    index = torch.arange(5.0)[:, None]
    rate = 10_000.0 ** (-torch.arange(16) / 15)
    added = heard[0][0] - encoder.front(batch.spectrogram, batch.lengths)[0]
    torch.testing.assert_close(added, torch.cat(((index * rate).sin(), (index * rate).cos()), 1), atol=1e-5, rtol=0)


def test_stacked_pitch_is_heard_by_the_spectrograms_encoder_and_nothing_else_changes(
    make_model: Make, make_batch: Make
) -> None:
    batch: FeatureBatch = make_batch()
    options: dict[str, Any] = {"features": ("spectrogram",), "vrope": {"theta": "static"}}
    alone, stacked = make_model(**options), make_model(**options, pitch_input=True)
    first = "encoders.spectrogram.front.convolutions.0.weight"
    weights = dict(alone.state_dict())
    more = torch.zeros_like(stacked.state_dict()[first])
    more[:, : batch.spectrogram.shape[1]] = weights[first]
    stacked.load_state_dict({**weights, first: more})
    higher = replace(batch, pitch=batch.pitch * torch.tensor([1.5, 1.0, 1.0])[:, None], track=batch.track * 1.5)
    with torch.inference_mode():
        states = alone.encode(batch).states["spectrogram"]
        torch.testing.assert_close(stacked.encode(batch).states["spectrogram"], states)
        more[:, -4:] = torch.randn_like(more[:, -4:])
        stacked.load_state_dict({**weights, first: more})
        heard = stacked.encode(batch).states["spectrogram"]
        assert (heard - states).abs().max() > 0.01
        assert (stacked.encode(higher).states["spectrogram"] - heard).abs().max() > 0.01
        torch.testing.assert_close(alone.encode(higher).states["spectrogram"], states)


def test_stacked_gain_is_of_the_first_kernels_over_pitch_and_of_nothing_else(make_config: Make) -> None:
    models = []
    for gain in (1.0, 4.0):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            models.append(Echo(make_config(features=("spectrogram",), pitch_input=True, pitch_input_gain=gain), 7, 8))
    plain, louder = (model.state_dict() for model in models)
    first = "encoders.spectrogram.front.convolutions.0.weight"
    louder[first][:, -4:] /= 4.0
    assert plain.keys() == louder.keys() and all(torch.equal(plain[name], louder[name]) for name in plain)
