"""vRoPE in a model that is not Echo: does the pitch of a sequence rise or fall?

The model reads noise that holds no answer; F0 reaches it through the rotation of attention alone. With `static`
rotation, which ignores F0, it can only guess.

python examples/vrope_in_your_model.py
"""

import torch
from torch import Tensor, nn

from echo_asr.vrope import PitchTrack, VRoPEAttention, VRoPEModes


class RisesOrFalls(nn.Module):
    """`(B, F, D)` and F0 in Hz, `(B, F)`, to the logit that F0 rises, `(B,)`."""

    def __init__(self, width: int, theta: str) -> None:
        super().__init__()
        self.attention = VRoPEAttention(VRoPEModes(theta=theta, rotate_values=True).attention(width, heads=2))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1))

    def forward(self, x: Tensor, f0: Tensor) -> Tensor:
        return self.head(x + self.attention(x, PitchTrack.from_f0(f0))).mean(dim=1).squeeze(-1)


def draw(batch: int, frames: int = 20, width: int = 32) -> tuple[Tensor, Tensor, Tensor]:
    """Constant input with a little noise, F0 contours of any height, and whether they rise."""
    rises = torch.randint(2, (batch,)).float()
    octaves = (2 * rises - 1)[:, None] * torch.linspace(-0.5, 0.5, frames) + torch.rand(batch, 1)
    return torch.ones(batch, frames, width) + 0.1 * torch.randn(batch, frames, width), 150 * 2**octaves, rises


for theta in ("static", "axis"):
    torch.manual_seed(0)
    model = RisesOrFalls(32, theta)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(150):
        x, f0, rises = draw(64)
        loss = nn.functional.binary_cross_entropy_with_logits(model(x, f0), rises)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x, f0, rises = draw(1000)
    with torch.no_grad():
        accuracy = ((model(x, f0) > 0) == (rises > 0.5)).float().mean().item()
    print(f"{theta:>6}: {accuracy:.1%} of 1000 sequences right")
