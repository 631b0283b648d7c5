"""Layer shapes of well-known image classifiers, from their published architectures.

Totals of multiply-accumulate operations are checked against published figures: 4.09e9 for ResNet-50
with the stride in its 3x3 convolutions, 0.30e9 for MobileNetV2, 5.71e9 for Inception-v3 without its
auxiliary classifier (torchvision's model cards; the first two also in the papers' orders).

References:
    He, Zhang, Ren and Sun, Deep residual learning for image recognition, CVPR 2016, table 1.
    Sandler, Howard, Zhu, Zhmoginov and Chen, MobileNetV2: Inverted residuals and linear
    bottlenecks, CVPR 2018, table 2.
    Szegedy, Vanhoucke, Ioffe, Shlens and Wojna, Rethinking the Inception architecture for computer
    vision, CVPR 2016, table 1 and figures 5 to 7, 10.
"""

from __future__ import annotations

from functools import cache

from datagen.errors import require
from datagen.npu.layers import Block, Layer, Network, convolution

__all__ = ["NETWORKS", "network"]

NETWORKS = ("resnet50", "mobilenetv2", "inceptionv3")
"""Names of the networks that come with the package."""


@cache
def network(name: str) -> Network:
    """Return a network by name.

    Args:
        name: One of :data:`NETWORKS`.

    Returns:
        Its blocks and layers.

    Raises:
        InvalidInputError: If there is no such network.
    """
    makers = {
        "resnet50": _resnet50,
        "mobilenetv2": _mobilenet_v2,
        "inceptionv3": _inception_v3,
    }
    require(name in makers, "network", f"be one of {', '.join(NETWORKS)}", name)
    return Network(name=name, blocks=tuple(makers[name]()))


def _resnet50() -> list[Block]:
    """Input 224 x 224; a stage's first block halves the image in its 3x3 convolution."""
    blocks = [Block(layers=(convolution("stem", 112, (3, 64), 7, stride=2),), channels=64)]
    channels = 64
    for stage, (count, width, size) in enumerate((
        (3, 64, 56),
        (4, 128, 28),
        (6, 256, 14),
        (3, 512, 7),
    )):
        for number in range(count):
            shrinks = stage > 0 and number == 0
            name, stride = f"stage {stage + 1}, block {number + 1}", 2 if shrinks else 1
            layers = [
                convolution(f"{name}: reduce", size * stride, (channels, width)),
                convolution(f"{name}: 3x3", size, (width, width), 3, stride=stride),
                convolution(f"{name}: expand", size, (width, 4 * width)),
            ]
            if number == 0:
                layers.append(
                    convolution(f"{name}: shortcut", size, (channels, 4 * width), stride=stride)
                )
            channels = 4 * width
            blocks.append(Block(layers=tuple(layers), channels=channels))
    return blocks


def _mobilenet_v2() -> list[Block]:
    """Input 224 x 224; inverted residuals of expansion, depthwise and projection."""
    blocks = [Block(layers=(convolution("stem", 112, (3, 32), 3, stride=2),), channels=32)]
    channels, size = 32, 112
    for stage, (factor, width, count, first_stride) in enumerate((
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )):
        for number in range(count):
            stride = first_stride if number == 0 else 1
            name, inner = f"stage {stage + 1}, block {number + 1}", channels * factor
            layers = []
            if factor > 1:
                layers.append(convolution(f"{name}: expand", size, (channels, inner)))
            size //= stride
            layers += [
                convolution(
                    f"{name}: depthwise", size, (inner, inner), 3, stride=stride, groups=inner
                ),
                convolution(f"{name}: project", size, (inner, width)),
            ]
            channels = width
            blocks.append(Block(layers=tuple(layers), channels=channels))
    last = convolution("last", 7, (320, 1280))
    return [*blocks, Block(layers=(last,), channels=1280)]


def _inception_v3() -> list[Block]:
    """Input 299 x 299; the branches of a module run one after the other."""
    stem = (
        convolution("stem 1", 149, (3, 32), 3, stride=2),
        convolution("stem 2", 147, (32, 32), 3),
        convolution("stem 3", 147, (32, 64), 3),
        convolution("stem 4", 73, (64, 80)),
        convolution("stem 5", 71, (80, 192), 3),
    )
    modules: list[tuple[tuple[Layer, ...], int]] = [(stem, 192)]
    for number, (read, pooled) in enumerate(((192, 32), (256, 64), (288, 64)), start=1):
        modules.append((_inception_35(f"35x35 module {number}", read, pooled), 224 + pooled))
    modules.append((_inception_to_17("to 17x17"), 768))
    for number, width in enumerate((128, 160, 160, 192), start=1):
        modules.append((_inception_17(f"17x17 module {number}", width), 768))
    modules.append((_inception_to_8("to 8x8"), 1280))
    for number, read in enumerate((1280, 2048), start=1):
        modules.append((_inception_8(f"8x8 module {number}", read), 2048))
    return [Block(layers=layers, channels=channels) for layers, channels in modules]


def _inception_35(name: str, read: int, pooled: int) -> tuple[Layer, ...]:
    return (
        convolution(f"{name}: 1x1", 35, (read, 64)),
        convolution(f"{name}: 5x5 reduce", 35, (read, 48)),
        convolution(f"{name}: 5x5", 35, (48, 64), 5),
        convolution(f"{name}: double 3x3 reduce", 35, (read, 64)),
        convolution(f"{name}: double 3x3 first", 35, (64, 96), 3),
        convolution(f"{name}: double 3x3 second", 35, (96, 96), 3),
        convolution(f"{name}: pool", 35, (read, pooled)),
    )


def _inception_to_17(name: str) -> tuple[Layer, ...]:
    return (
        convolution(f"{name}: 3x3", 17, (288, 384), 3, stride=2),
        convolution(f"{name}: double 3x3 reduce", 35, (288, 64)),
        convolution(f"{name}: double 3x3 first", 35, (64, 96), 3),
        convolution(f"{name}: double 3x3 second", 17, (96, 96), 3, stride=2),
    )


def _inception_17(name: str, width: int) -> tuple[Layer, ...]:
    row, column = (1, 7), (7, 1)
    return (
        convolution(f"{name}: 1x1", 17, (768, 192)),
        convolution(f"{name}: 7x7 reduce", 17, (768, width)),
        convolution(f"{name}: 7x7 row", 17, (width, width), row),
        convolution(f"{name}: 7x7 column", 17, (width, 192), column),
        convolution(f"{name}: double 7x7 reduce", 17, (768, width)),
        convolution(f"{name}: double 7x7 column 1", 17, (width, width), column),
        convolution(f"{name}: double 7x7 row 1", 17, (width, width), row),
        convolution(f"{name}: double 7x7 column 2", 17, (width, width), column),
        convolution(f"{name}: double 7x7 row 2", 17, (width, 192), row),
        convolution(f"{name}: pool", 17, (768, 192)),
    )


def _inception_to_8(name: str) -> tuple[Layer, ...]:
    return (
        convolution(f"{name}: 3x3 reduce", 17, (768, 192)),
        convolution(f"{name}: 3x3", 8, (192, 320), 3, stride=2),
        convolution(f"{name}: 7x7 reduce", 17, (768, 192)),
        convolution(f"{name}: 7x7 row", 17, (192, 192), (1, 7)),
        convolution(f"{name}: 7x7 column", 17, (192, 192), (7, 1)),
        convolution(f"{name}: 7x7 then 3x3", 8, (192, 192), 3, stride=2),
    )


def _inception_8(name: str, read: int) -> tuple[Layer, ...]:
    row, column = (1, 3), (3, 1)
    return (
        convolution(f"{name}: 1x1", 8, (read, 320)),
        convolution(f"{name}: 3x3 reduce", 8, (read, 384)),
        convolution(f"{name}: 3x3 row", 8, (384, 384), row),
        convolution(f"{name}: 3x3 column", 8, (384, 384), column),
        convolution(f"{name}: double 3x3 reduce", 8, (read, 448)),
        convolution(f"{name}: double 3x3", 8, (448, 384), 3),
        convolution(f"{name}: double 3x3 row", 8, (384, 384), row),
        convolution(f"{name}: double 3x3 column", 8, (384, 384), column),
        convolution(f"{name}: pool", 8, (read, 192)),
    )
