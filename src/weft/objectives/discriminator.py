"""A judge of pictures that is trained beside what makes them, and goes when the training ends."""

from __future__ import annotations

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional


class Discriminator(nn.Module):
    """How real each patch of a picture looks (Isola et al. 2017, §3.2.2, PatchGAN): [B, channels, height, width] ->
    [B, 1, height / 4, width / 4], above 0: real. Two convolutions of half the side each and one that reads the patch;
    norms are of one picture alone (theirs are of a batch)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.GroupNorm(1, 2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 1, 3, padding=1),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        return self.layers(pictures)  # [B, 1, height / 4, width / 4]


def detached(module: nn.Module, given: Tensor) -> Tensor:
    """What a module makes of something, with a gradient to that and none to its own parameters."""
    held = {name: tensor.detach() for name, tensor in module.state_dict(keep_vars=True).items()}
    return functional_call(module, held, (given,))


def hinge(real: Tensor, made: Tensor) -> Tensor:
    """max(0, 1 - real) + max(0, 1 + made), the mean of each picture (Lim & Ye 2017): [B, ..] both -> [B]."""
    paid = functional.relu(1 - real) + functional.relu(1 + made)
    return paid.flatten(1).mean(dim=1)
