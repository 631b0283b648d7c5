"""Layers as matrix products, and networks as blocks of layers that exits may stand between.

A layer multiplies R x P activations by P x C weights for every sample: R output positions, P inputs
of each, C outputs. Convolutions have R = output height x width, P = kernel area x input channels;
a grouped one is so many narrower products side by side.

Letters: R rows, P depth of the dot products, C columns, all per sample and per group.
"""

from __future__ import annotations

from dataclasses import dataclass

from datagen.errors import require

__all__ = ["Block", "Layer", "Network", "convolution", "dense"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """One matrix product per group and sample.

    Args:
        name: For messages and tables.
        rows: R, output positions per sample, >= 1.
        depth: P, length of the dot products of one group, >= 1.
        columns: C, outputs of one group, >= 1.
        groups: Independent products side by side, >= 1.
        inputs: Values read per sample, >= 1: fewer than R x P where windows overlap.

    Raises:
        InvalidInputError: If a size is below one.
    """

    name: str
    rows: int
    depth: int
    columns: int
    groups: int = 1
    inputs: int = 1

    def __post_init__(self) -> None:
        for field in ("rows", "depth", "columns", "groups", "inputs"):
            require(getattr(self, field) >= 1, field, "be >= 1", getattr(self, field))

    @property
    def operations(self) -> int:
        """Multiply-accumulate operations per sample."""
        return self.rows * self.depth * self.columns * self.groups

    @property
    def weights(self) -> int:
        """Weights, which a batch reads once."""
        return self.depth * self.columns * self.groups

    @property
    def outputs(self) -> int:
        """Values written per sample."""
        return self.rows * self.columns * self.groups


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Layers that run together; an exit may stand after the last.

    Args:
        layers: At least one, in order.
        channels: Channels of the result, which a classifier after the block would read.
    """

    layers: tuple[Layer, ...]
    channels: int

    def __post_init__(self) -> None:
        require(len(self.layers) > 0, "layers", "hold at least one layer", self.layers)
        require(self.channels >= 1, "channels", "be >= 1", self.channels)

    @property
    def operations(self) -> int:
        """Multiply-accumulate operations per sample."""
        return sum(layer.operations for layer in self.layers)


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network as a line of blocks and a last classifier.

    Args:
        name: Its name in documents.
        blocks: At least one, in order.
        classes: Outputs of every classifier, >= 1.
    """

    name: str
    blocks: tuple[Block, ...]
    classes: int = 1000

    def __post_init__(self) -> None:
        require(len(self.blocks) > 0, "blocks", "hold at least one block", self.blocks)
        require(self.classes >= 1, "classes", "be >= 1", self.classes)

    @property
    def operations(self) -> int:
        """Multiply-accumulate operations per sample without early classifiers."""
        last = self.head(len(self.blocks) - 1)
        return sum(block.operations for block in self.blocks) + last.operations

    def head(self, block: int) -> Layer:
        """Return the classifier after a block: a dense layer on pooled channels.

        Args:
            block: 0-based block.

        Returns:
            The layer; pooling itself costs no matrix product.
        """
        return dense(f"exit after block {block}", self.blocks[block].channels, self.classes)

    def segments(self, exits: int) -> tuple[tuple[Layer, ...], ...]:
        """Cut the network between exits at about equal work.

        Args:
            exits: Number of exits, the last classifier included, 1 to the number of blocks.

        Returns:
            For each exit the layers that run after the previous one, its classifier the last.

        Raises:
            InvalidInputError: If there are not so many places for exits.
        """
        places = len(self.blocks)
        require(1 <= exits <= places, "exits", f"lie in 1..{places}", exits)
        reached, total = [], 0
        for block in self.blocks:
            total += block.operations
            reached.append(total)
        ends: list[int] = []
        for number in range(1, exits):
            # Each later exit needs a block of its own.
            free = range(ends[-1] + 1 if ends else 0, places - (exits - number))
            wanted = total * number / exits
            ends.append(min(free, key=lambda block: abs(reached[block] - wanted)))
        ends.append(places - 1)
        starts = [0, *(end + 1 for end in ends[:-1])]
        return tuple(
            (
                *(layer for block in self.blocks[start : end + 1] for layer in block.layers),
                self.head(end),
            )
            for start, end in zip(starts, ends, strict=True)
        )


def convolution(
    name: str,
    size: int | tuple[int, int],
    channels: tuple[int, int],
    kernel: int | tuple[int, int] = 1,
    *,
    stride: int = 1,
    groups: int = 1,
) -> Layer:
    """Return a convolution as a matrix product.

    Args:
        name: For messages and tables.
        size: Height and width of the *output* (one number if square).
        channels: Input and output channels, multiples of ``groups``.
        kernel: Height and width of the kernel (one number if square).
        stride: Step between windows: the input is about so many times larger.
        groups: Groups of channels.

    Returns:
        The layer.

    Raises:
        InvalidInputError: If channels are no multiple of the groups.
    """
    height, width = (size, size) if isinstance(size, int) else size
    tall, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
    read, written = channels
    for field, value in (("channels", read), ("channels", written)):
        require(value % groups == 0, field, "be a multiple of groups", channels)
    return Layer(
        name=name,
        rows=height * width,
        depth=tall * wide * read // groups,
        columns=written // groups,
        groups=groups,
        inputs=height * width * stride**2 * read,
    )


def dense(name: str, inputs: int, outputs: int) -> Layer:
    """Return a fully connected layer.

    Args:
        name: For messages and tables.
        inputs: Values in, >= 1.
        outputs: Values out, >= 1.

    Returns:
        The layer.
    """
    return Layer(name=name, rows=1, depth=inputs, columns=outputs, inputs=inputs)
