"""Applications that can be split in two ways, the hosts of their pieces, and single tasks.

A *layer-wise* split is a chain: each piece starts when the one before has handed over. A *semantic*
split is a set of branches for parts of the classes, all started at once; the last of them ends the
task. Branches are small and fast together, and know a little less.

Numbers of the three applications are those of SplitPlace's public code (github
imperial-qore/SplitPlace, BSD 3-Clause): networks, and so multiply-accumulates and bytes per image;
accuracies as read off its curves; the mix; the ranges of deadlines; the first estimates of latency.
How long a multiply-accumulate takes is ours (:data:`RATE`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from datagen.errors import require
from datagen.frozen import FrozenMap

__all__ = ["APPLICATIONS", "INTERVAL", "Application", "Host", "Piece", "Split", "Task"]

Split = Literal["layer", "semantic"]

INTERVAL = 300.0
"""Length of a scheduling interval [s], the unit of deadlines."""

BATCH = 20_000
"""Images per task."""

RATE = 20_000e6 / 30.0
"""Multiply-accumulates per second at speed 1 [1/s], our choice. Layer-wise latencies of idle hosts
are then 5.2, 8.8 and 10.6 intervals, with a hand-off of one interval per piece, where the public
code starts from estimates of 5, 8 and 15."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A part of a network that runs on one host.

    Args:
        work: Time at speed 1 [s], >= 0.
        received: Bytes that it reads before it starts, >= 0.
    """

    work: float
    received: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Application:
    """A network with its two splits.

    Args:
        name: Its name.
        share: Share of the tasks, in [0, 1].
        layer: Pieces of the layer-wise split, in order.
        semantic: Branches of the semantic split.
        accuracy: Share of right answers by split, in [0, 1].
        deadlines: Deadlines are whole intervals from 2 to below this number.
        latency: First estimate of the layer-wise latency [s], > 0.

    Raises:
        InvalidInputError: If a number is out of its range or a split has no piece.
    """

    name: str
    share: float
    layer: tuple[Piece, ...]
    semantic: tuple[Piece, ...]
    accuracy: FrozenMap[float]
    deadlines: int
    latency: float

    def __post_init__(self) -> None:
        require(0 <= self.share <= 1, "share", "lie in [0, 1]", self.share)
        for split in get_args(Split):
            pieces = getattr(self, split)
            require(len(pieces) > 0, split, "hold at least one piece", pieces)
            proper = 0 <= self.accuracy.get(split, -1.0) <= 1
            require(proper, "accuracy", f"lie in [0, 1] for {split}", dict(self.accuracy))
        require(self.deadlines > 2, "deadlines", "be > 2", self.deadlines)
        require(self.latency > 0, "latency", "be > 0", self.latency)

    def stages(self, split: Split) -> tuple[tuple[Piece, ...], ...]:
        """Return what runs one after the other, and in each stage at once.

        Args:
            split: How the network is split.

        Returns:
            A stage per layer piece, or one of all branches.
        """
        if split == "semantic":
            return (self.semantic,)
        return tuple((piece,) for piece in self.layer)


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """A machine that runs one piece at a time, in the order of their coming.

    Args:
        name: Its name.
        speed: Work per second, > 0.

    Raises:
        InvalidInputError: If the speed is not positive.
    """

    name: str
    speed: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.speed < float("inf"), "speed", "be finite and > 0", self.speed)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One batch of images to classify, with all that chance decides about it.

    Args:
        index: Its place among all tasks.
        application: What it runs.
        arrival: When it comes [s].
        deadline: Time from its arrival in which it should be done [s], > 0.
        noise: Factor of the time of each piece, of mean 1; as many as the longer split has.
        luck: Normal deviate of its accuracy, the same for either split.
    """

    index: int
    application: Application
    arrival: float
    deadline: float
    noise: tuple[float, ...]
    luck: float

    def accuracy(self, split: Split) -> float:
        """Return the share of right answers in this batch.

        Args:
            split: How it was answered.

        Returns:
            Accuracy in [0, 1]: binomial over the batch, by its normal limit.
        """
        mean = self.application.accuracy[split]
        spread = math.sqrt(mean * (1.0 - mean) / BATCH)
        return min(max(mean + spread * self.luck, 0.0), 1.0)


def _application(
    *,
    name: str,
    share: float,
    layer: tuple[float, ...],
    received: tuple[float, ...],
    branch: float,
    accuracy: tuple[float, float],
    latencies: tuple[int, int],
) -> Application:
    """Return an application.

    Args:
        name: Its name.
        share: Share of the tasks.
        layer: Millions of multiply-accumulates per image of each layer piece.
        received: Bytes per image that each of them reads.
        branch: Millions of multiply-accumulates per image of each of the five branches.
        accuracy: Accuracy of the layer-wise and the semantic split.
        latencies: Typical layer-wise latency L, from which deadlines are drawn, and its first
            estimate, in intervals.
    """

    def piece(millions: float, per_image: float) -> Piece:
        return Piece(work=millions * 1e6 * BATCH / RATE, received=per_image * BATCH)

    typical, first = latencies
    return Application(
        name=name,
        share=share,
        layer=tuple(piece(*pair) for pair in zip(layer, received, strict=True)),
        semantic=(piece(branch, received[0]),) * 5,
        accuracy=FrozenMap({"layer": accuracy[0], "semantic": accuracy[1]}),
        deadlines=2 * typical - 2,
        latency=first * INTERVAL,
    )


APPLICATIONS = (
    _application(
        name="mnist",
        share=0.5,
        layer=(0.195, 10.6, 1.18, 0.0013),
        received=(3136, 86528, 147456, 512),
        branch=0.86,
        accuracy=(0.974, 0.955),
        latencies=(7, 5),
    ),
    _application(
        name="fashion",
        share=0.25,
        layer=(0.389, 42.5, 4.72, 0.0026),
        received=(3136, 173056, 294912, 1024),
        branch=3.34,
        accuracy=(0.955, 0.915),
        latencies=(9, 8),
    ),
    _application(
        name="cifar100",
        share=0.25,
        layer=(1.56, 57.8, 6.42, 0.0256),
        received=(12288, 230400, 401408, 1024),
        branch=4.81,
        accuracy=(0.969, 0.929),
        latencies=(14, 15),
    ),
)
"""MNIST, FashionMNIST and CIFAR-100, as SplitPlace's workload has them."""
