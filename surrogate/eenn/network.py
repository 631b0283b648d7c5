"""A small residual network with a classifier after every block.

Early classifiers see few channels at full resolution and little context, so that they are truly
weaker than late ones: what makes early exits a decision and not a free lunch.

References:
    Teerapittayanon, McDanel and Kung, BranchyNet: fast inference via early exiting from deep neural
    networks, ICPR 2016. He, Zhang, Ren and Sun, Deep residual learning, CVPR 2016.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from datagen.errors import require

__all__ = ["MultiExitNetwork"]

OPERATIONS_PER_MAC = 2
"""PyTorch counts a multiplication and an addition as two operations."""


class ResidualBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out.
        stride: Step of the first convolution; 2 halves height and width.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride=stride)

    def forward(self, features: Tensor) -> Tensor:
        """Return the features of the next exit [B, outputs, H / stride, W / stride]."""
        return torch.relu(self.path(features) + self.shortcut(features))


class MultiExitNetwork(nn.Module):
    """Blocks in a row, each followed by a classifier: one exit per block.

    Args:
        widths: Channels of each block, at least two blocks.
        strides: Stride of each block.
        classes: Number of classes, >= 2.
        grid: Side of the grid that a classifier averages features over, >= 1.
    """

    def __init__(
        self,
        widths: Sequence[int] = (2, 4, 4, 8, 8, 16, 32),
        strides: Sequence[int] = (1, 1, 2, 1, 2, 1, 1),
        classes: int = 10,
        grid: int = 2,
    ) -> None:
        super().__init__()
        widths, strides = tuple(widths), tuple(strides)
        several = len(widths) >= 2 and all(width >= 1 for width in widths)
        require(several, "widths", "hold at least two numbers >= 1", widths)
        fitting = len(strides) == len(widths) and all(stride >= 1 for stride in strides)
        require(fitting, "strides", f"hold {len(widths)} numbers >= 1", strides)
        require(classes >= 2, "classes", "be >= 2", classes)
        require(grid >= 1, "grid", "be >= 1", grid)
        self.settings: dict[str, Any] = {
            "widths": list(widths),
            "strides": list(strides),
            "classes": classes,
            "grid": grid,
        }
        inputs = (1, *widths)
        self.blocks = nn.ModuleList(
            ResidualBlock(inputs[place], width, strides[place])
            for place, width in enumerate(widths)
        )
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.AdaptiveAvgPool2d(grid), nn.Flatten(), nn.Linear(width * grid**2, classes)
            )
            for width in widths
        )

    @property
    def exits(self) -> int:
        """Number of exits, E."""
        return len(self.heads)

    def forward(self, images: Tensor, exits: int | None = None) -> list[Tensor]:
        """Return the logits of each exit.

        Args:
            images: Grey images [B, 1, H, W].
            exits: How many exits to compute, 1 to E; None for all.

        Returns:
            Logits [B, classes] per exit, the final classifier last.
        """
        logits = []
        features = images
        for block, head in list(zip(self.blocks, self.heads, strict=True))[:exits]:
            features = block(features)
            logits.append(head(features))
        return logits

    @torch.no_grad()
    def multiply_accumulates(self, height: int, width: int) -> list[float]:
        """Return the work of an answer at each exit, all classifiers on the way included.

        Args:
            height: Of an image [pixels].
            width: Of an image [pixels].

        Returns:
            Multiply-accumulate operations per image and exit [E], increasing.
        """
        image = next(self.parameters()).new_zeros(1, 1, height, width)
        twin = copy.deepcopy(self).eval()  # an image without content must leave no statistics
        work = []
        for exits in range(1, self.exits + 1):
            with FlopCounterMode(display=False) as counter:
                twin(image, exits)
            work.append(counter.get_total_flops() / OPERATIONS_PER_MAC)
        return work
