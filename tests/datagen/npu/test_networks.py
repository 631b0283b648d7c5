"""Layer shapes against the published totals, and cuts between exits."""

from __future__ import annotations

import pytest

from datagen.errors import InvalidInputError
from datagen.npu import NETWORKS, Block, Layer, Network, convolution, dense, network

# Multiply-accumulates and parameters (in 1e9 and 1e6; weights only, no biases or normalisation) as
# torchvision's model cards state them.
PUBLISHED = {
    "resnet50": (4.09, 25.6),
    "mobilenetv2": (0.30, 3.50),
    "inceptionv3": (5.71, 23.8),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_totals_are_the_published_ones(name: str) -> None:
    operations, parameters = PUBLISHED[name]
    found = network(name)
    layers = [layer for block in found.blocks for layer in block.layers]
    weights = sum(layer.weights for layer in [*layers, found.head(len(found.blocks) - 1)])
    assert found.operations / 1e9 == pytest.approx(operations, rel=0.005)
    assert weights / 1e6 == pytest.approx(parameters, rel=0.01)


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_read_what_the_ones_before_wrote(name: str) -> None:
    """The channels that a block's first layer reads are those of the block before."""
    blocks = network(name).blocks
    for before, block in zip(blocks, blocks[1:], strict=False):
        first = block.layers[0]
        kernel = first.depth * first.groups / before.channels
        assert kernel == int(kernel), first.name


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("exits", [1, 2, 4, 9])
def test_segments_are_the_network_and_a_classifier_each(name: str, exits: int) -> None:
    whole = network(name)
    segments = whole.segments(exits)
    assert len(segments) == exits
    body = [layer for segment in segments for layer in segment[:-1]]
    assert body == [layer for block in whole.blocks for layer in block.layers]
    for segment in segments:
        assert segment[-1].rows == 1
        assert segment[-1].columns == whole.classes
    work = [sum(layer.operations for layer in segment) for segment in segments]
    largest_block = max(block.operations for block in whole.blocks)
    assert max(work) <= whole.operations / exits + 2 * largest_block


def test_as_many_exits_as_blocks_is_the_most() -> None:
    whole = network("resnet50")
    assert [len(segment) > 1 for segment in whole.segments(17)] == [True] * 17
    with pytest.raises(InvalidInputError, match=r"exits must lie in 1\.\.17, got exits=18"):
        whole.segments(18)


def test_a_convolution_is_a_product_of_windows_and_kernels() -> None:
    layer = convolution("c", (4, 5), (6, 8), 3, stride=2, groups=2)
    assert (layer.rows, layer.depth, layer.columns, layer.groups) == (20, 27, 4, 2)
    assert layer.operations == 20 * 9 * 6 * 8 / 2
    assert layer.weights == 9 * 6 * 8 / 2
    assert layer.outputs == 20 * 8
    assert layer.inputs == 20 * 4 * 6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: network("lenet"), "network must be one of .*, got network='?lenet"),
        (lambda: dense("d", 0, 1), "depth must be >= 1, got depth=0"),
        (lambda: convolution("c", 4, (6, 8), groups=4), "channels must be a multiple of groups"),
        (lambda: Block(layers=(), channels=1), "layers must hold at least one layer"),
        (lambda: Block(layers=(dense("d", 1, 1),), channels=0), "channels must be >= 1"),
        (lambda: Network(name="n", blocks=()), "blocks must hold at least one block"),
        (lambda: Layer(name="l", rows=1, depth=1, columns=1, groups=0), "groups must be >= 1"),
    ],
)
def test_refuses_by_name(make, message) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInputError, match=message):
        make()
