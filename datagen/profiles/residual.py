"""How many parameters each layer of a residual network has, from the sizes of its outputs.

Profiles say how much memory a whole model takes, not which layer takes how much; the architecture
does. A bottleneck has convolutions of 1 x 1, 3 x 3 and 1 x 1, its middle a quarter as wide as its
output, each followed by a batch normalization (two parameters per channel); where the width or the
resolution changes, its shortcut is another 1 x 1 convolution with a normalization. A stage halves
height and width and doubles the channels, so that its outputs are half as large.

References:
    He, Zhang, Ren and Sun, Deep residual learning for image recognition, CVPR 2016, table 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from datagen.errors import InvalidInputError, require

__all__ = ["classifier_parameters", "layer_parameters"]

EXPANSION = 4
"""Output channels of a bottleneck over those of its middle."""

STEM_KERNEL = 3
"""Side of the first convolution where images are as small as 32 x 32 pixels."""

NORMALIZED = 2
"""Scale and shift of a normalization, per channel."""


def _bottleneck(inputs: int, outputs: int, *, projected: bool) -> int:
    middle = outputs // EXPANSION
    weights = inputs * middle + 9 * middle**2 + middle * outputs
    normalizations = NORMALIZED * (2 * middle + outputs)
    shortcut = inputs * outputs + NORMALIZED * outputs if projected else 0
    return weights + normalizations + shortcut


def layer_parameters(
    kinds: Sequence[str], values: Sequence[float], input_size: Sequence[int]
) -> tuple[list[int], list[int]]:
    """Return the parameters of each layer, and the channels that leave it.

    Args:
        kinds: Kind of each layer: ``ResNetConv1``, ``BatchNorm2d``, ``ReLU``, ``ResNetMaxPool1`` or
            ``ResidualBottleneck``.
        values: Numbers in the output of each layer.
        input_size: Channels, height and width of an image.

    Returns:
        Parameters and channels, both by layer.

    Raises:
        InvalidInputError: If a layer is of another kind, or its output not that of such a network.
    """
    colours, height, width = input_size
    channels, size = int(colours), float(colours * height * width)
    in_blocks = False
    parameters, widths = [], []
    for kind, numbers in zip(kinds, values, strict=True):
        inputs, before = channels, size
        size = numbers
        if kind == "ResNetConv1":
            channels = round(numbers / (height * width))  # the first convolution keeps the size
            count = STEM_KERNEL**2 * inputs * channels
        elif kind == "BatchNorm2d":
            count = NORMALIZED * channels
        elif kind in ("ReLU", "ResNetMaxPool1"):
            count = 0
        elif kind == "ResidualBottleneck":
            if not in_blocks:
                channels = EXPANSION * channels
            elif numbers < before:
                channels = 2 * channels
            projected = not in_blocks or numbers < before
            count = _bottleneck(inputs, channels, projected=projected)
            in_blocks = True
        else:
            known = "ResNetConv1, BatchNorm2d, ReLU, ResNetMaxPool1 or ResidualBottleneck"
            raise InvalidInputError("layer", f"be {known}", kind)
        whole = channels >= 1 and numbers % channels == 0
        require(whole, "output", f"hold {channels} channels after a {kind}", numbers)
        parameters.append(count)
        widths.append(channels)
    return parameters, widths


def classifier_parameters(channels: int, classes: int) -> int:
    """Return the parameters of a linear classifier behind global pooling.

    Args:
        channels: Channels that are pooled.
        classes: Number of classes.

    Returns:
        Weights and biases.

    Example:
        >>> classifier_parameters(64, 10)
        650
    """
    return (channels + 1) * classes
