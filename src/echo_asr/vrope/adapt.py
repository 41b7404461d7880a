"""Pitch adapters: pitch as a second rotary axis in the self-attention of a pretrained encoder, without effect at first.

In each attention module, queries and keys turn by `s_h w_j z_t` in the first pairs of head `h`; values turn by
`s'_h w_j z_t` before attention, and what a state reads turns back by its own angle after it. The first layer's input
gets `W c_t`, `c` being the channels of pitch. `s`, `s'` and `W` are trained, and start at 0, where turning multiplies
by 1 and adds 0: the outputs are those of the untouched encoder, to the bit. docs/vrope.md has the proof.

No module moves, so parameters keep their names: a module's class becomes a subclass of it, as with parametrizations of
torch. Nothing is hooked, and nothing is global.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .pitch_attention import CurrentPitch, Pitch, PitchAttention, PitchContext, PitchInput, PitchLayer, PitchTurns
from .track import PitchTrack

PROJECTIONS = (
    ("q_proj", "k_proj", "v_proj", "out_proj"),
    ("q_proj", "k_proj", "v_proj", "o_proj"),
    ("linear_q", "linear_k", "linear_v", "linear_out"),
    ("query", "key", "value", "output"),
    ("to_q", "to_k", "to_v", "to_out"),
    ("wq", "wk", "wv", "wo"),
)  # names of the query, key, value and output projections of an attention module
HEAD_WIDTHS = ("head_dim", "head_size", "head_width", "d_head", "d_k")
HEAD_COUNTS = ("num_heads", "num_attention_heads", "n_heads", "n_head", "nhead", "heads")


class PitchAdapters:
    """The pitch adapters of an encoder. The tensors belong to the encoder, are moved and saved with it, and this is a
    handle to them; to copy, deepcopy both together.

    Attributes:
        reference: what pitch is relative to, as in `PitchTrack.z`.
    """

    def __init__(
        self, current: CurrentPitch, added: nn.ModuleDict, adapted: Sequence[nn.Module], reference: str
    ) -> None:
        self.reference = reference
        self._current, self._added, self._adapted = current, added, adapted

    def pitch(self, track: PitchTrack, periodicity: Tensor | None = None) -> AbstractContextManager[None]:
        """A context in which the encoder, run by this thread, reads a track.

        Args:
            track: a frame for each state of the encoder, `(B, N)`.
            periodicity: 0 to 1, `(B, N)`; voicing stands for it where it is not known.
        """
        return PitchContext(self._current, Pitch.of(track, periodicity, self.reference))

    def part(self, start: int, end: int) -> AbstractContextManager[None]:
        """A context, within that of `pitch`, in which the encoder reads frames `start` to `end` of the track: for
        recordings that are encoded in parts. Pitch stays relative to the whole."""
        pitch = self._current.pitch
        return PitchContext(self._current, None if pitch is None else pitch.part(start, end))

    def checkpoint_contexts(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        """The `context_fn` of `torch.utils.checkpoint.checkpoint`: layers that are computed anew in backward, in
        whatever thread and however much later, read the track of their own forward.

        With transformers:
        `encoder.gradient_checkpointing_enable({"use_reentrant": False, "context_fn": adapters.checkpoint_contexts})`.
        """
        return nullcontext(), PitchContext(self._current, self._current.pitch)

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters that were added."""
        return self._added.parameters()

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters that were added, each with its name in `state_dict`."""
        return self._added.named_parameters()

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors that were added: `input.weight`, and by the number of the layer `layers.0.score`,
        `layers.0.value`, and so on."""
        return dict(self._added.state_dict())

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over the tensors of a `state_dict`.

        Raises:
            ValueError: their names or shapes are others; nothing is changed.
        """
        own = self.state_dict()
        wrong = sorted(own.keys() ^ state.keys()) or [name for name in own if own[name].shape != state[name].shape]
        if wrong:
            raise ValueError(f"pitch adapters of another encoder: {', '.join(wrong[:3])} (of {len(wrong)}) do not fit")
        self._added.load_state_dict(dict(state))

    def strip(self) -> None:
        """Take the adapters out: the encoder is what it was before `adapt`."""
        for module in self._adapted:
            for name in ("pitch_turns", "pitch_names", "pitch_input"):
                if hasattr(module, name):
                    delattr(module, name)
            module.__class__ = type(module).__bases__[1]
        self._adapted = ()


def adapt(
    encoder: nn.Module, *, layers: Sequence[int] | None = None, heads: int | None = None,
    projections: Sequence[str] | None = None, reference: str = "fixed",
    kinds: Mapping[str, type[PitchAttention]] | None = None,
) -> PitchAdapters:  # fmt: skip
    """Put pitch adapters into an encoder, in place. Until they are trained, its outputs stay the same, to the bit.

    Its layers are the first `nn.ModuleList` or `nn.Sequential` of which every member holds one attention module, that
    is, one with query, key, value and output projections.

    Args:
        encoder: any model; of one with a decoder, too, the encoder alone.
        layers: numbers of the layers whose attention turns with pitch, from 0; all unless given.
        heads: of an attention module's queries; read from it unless given.
        projections: names of the four projections; usual ones (`PROJECTIONS`) are found.
        reference: what pitch is relative to, as in `PitchTrack.z`: `fixed`, `utterance` or `speaker`.
        kinds: by the name of an attention class that needs one, a subclass of `PitchAttention`;
            `echo_asr.pretrained.adapters` has those for encoders of transformers.

    Raises:
        ValueError: no such layers, heads that cannot be read, or an encoder with adapters.

    Example:
        >>> import torch
        >>> from echo_asr.vrope import PitchTrack, adapt
        >>> class Attention(torch.nn.Module):
        ...     heads = 2
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.query, self.key, self.value, self.output = (torch.nn.Linear(16, 16) for _ in range(4))
        ...     def forward(self, x):
        ...         q, k, v = (p(x).unflatten(2, (2, 8)).transpose(1, 2) for p in (self.query, self.key, self.value))
        ...         read = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        ...         return self.output(read.transpose(1, 2).flatten(2))
        >>> encoder, x = torch.nn.Sequential(Attention(), Attention()), torch.randn(1, 5, 16)
        >>> before = encoder(x)
        >>> adapters = adapt(encoder)
        >>> with adapters.pitch(PitchTrack.from_f0(torch.tensor([[0.0, 180.0, 200.0, 0.0, 150.0]]))):
        ...     print(torch.equal(encoder(x), before))
        True
        >>> print(*(name for name, _ in adapters.named_parameters()))
        input.weight layers.0.score layers.0.value layers.1.score layers.1.value
    """
    if any(isinstance(module, PitchAttention | PitchLayer) for module in encoder.modules()):
        raise ValueError("the encoder has pitch adapters; take them out first (strip)")
    stack = _layers(encoder, PROJECTIONS if projections is None else (tuple(projections),))
    numbers = range(len(stack)) if layers is None else sorted(set(layers))
    if not numbers or not 0 <= numbers[0] <= numbers[-1] < len(stack):
        raise ValueError(f"layers must be numbers from 0 to {len(stack) - 1}, got {layers}")
    for module in (stack[0].layer, *(stack[number].attention for number in numbers)):
        if "forward" in vars(module):
            raise ValueError(f"the forward of a {type(module).__name__} was replaced; call adapt before that")
    current = CurrentPitch()
    turns = {number: _turns(stack[number].attention, stack[number].names, heads, current) for number in numbers}
    for number in numbers:
        attention: Any = stack[number].attention
        attention.pitch_turns, attention.pitch_names = turns[number], stack[number].names
        _precede(attention, (kinds or {}).get(type(attention).__name__, PitchAttention))
    first: Any = stack[0].layer
    query: Any = getattr(stack[0].attention, stack[0].names[0])
    first.pitch_input = PitchInput(query.in_features, current, _like(query))
    _precede(first, PitchLayer)
    added = nn.ModuleDict({"input": first.pitch_input, "layers": nn.ModuleDict({str(n): turns[n] for n in numbers})})
    return PitchAdapters(current, added, [first, *(stack[number].attention for number in numbers)], reference)


@dataclass(frozen=True)
class _Layer:
    """A transformer layer, its attention module, and the names of the projections of that."""

    layer: nn.Module
    attention: nn.Module
    names: tuple[str, ...]


def _layers(encoder: nn.Module, known: Sequence[tuple[str, ...]]) -> list[_Layer]:
    """The layers of an encoder."""
    for stack in encoder.modules():
        if isinstance(stack, nn.ModuleList | nn.Sequential) and len(stack):
            found = [
                [
                    _Layer(layer, module, names)
                    for module in layer.modules()
                    for names in known
                    if all(isinstance(getattr(module, name, None), nn.Module) for name in names)
                ]
                for layer in stack
            ]
            if all(len(attentions) == 1 for attentions in found):
                return [attentions[0] for attentions in found]
    names = "; ".join(", ".join(names) for names in known)
    raise ValueError(
        f"{type(encoder).__name__}: no list of layers with one attention module each, whose projections are {names}; "
        f"give an encoder alone, or the names of its projections"
    )


def _turns(attention: nn.Module, names: Sequence[str], heads: int | None, current: CurrentPitch) -> PitchTurns:
    """The scales for an attention module."""
    query, key, _, _ = (getattr(attention, name) for name in names)
    sizes = query.out_features, key.out_features
    given = [getattr(attention, name, None) for name in HEAD_WIDTHS] if heads is None else []
    counts = [getattr(attention, name, None) for name in HEAD_COUNTS] if heads is None else [heads]
    widths = [*given, *(sizes[0] // count for count in counts if isinstance(count, int) and count > 0)]
    width = next((width for width in widths if isinstance(width, int)), 0)
    if width < 2 or any(size % width for size in sizes) or sizes[0] % sizes[1]:
        raise ValueError(
            f"{type(attention).__name__}: {sizes[0]} values of queries and {sizes[1]} of keys cannot be divided into "
            f"heads{f' of {width}' if width else ''}; give heads, the number of heads"
        )
    return PitchTurns(sizes[1] // width, width, current, _like(query))


def _like(projection: Any) -> Tensor:
    """A tensor with the device of a projection's weights, and their dtype, if it can be trained."""
    weights: Tensor = projection.weight
    return weights if weights.is_floating_point() else torch.empty(0, device=weights.device)


def _precede(module: nn.Module, kind: type[nn.Module]) -> None:
    """Make the class of a module one of `kind` and of what it is."""
    own = type(module)
    module.__class__ = type(f"{kind.__name__}Of{own.__name__}", (kind, own), {"__module__": __name__})
