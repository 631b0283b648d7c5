"""Traces of any early-exit network: what it answered at every exit, and how sure it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from datagen.errors import require
from datagen.exits import ExitTrace

__all__ = ["Batch", "measure_latency", "record_logits", "record_trace"]

Batch = Sequence[Tensor]
"""Inputs [B, ...] and labels [B]; perhaps context numbers [B], and then perhaps groups [B]."""

PARTS = ("labels", "context", "group")
"""What may stand in a batch behind the inputs."""

WARM_UP = 3
"""Passes before the clock starts: the first ones find memory and choose algorithms."""


@torch.no_grad()
def record_logits(
    model: nn.Module, loader: Iterable[Batch]
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Run a network in evaluation mode over all samples.

    Args:
        model: Module that returns a list of logits [B, C], one per exit, the last exit last.
        loader: Batches; see :data:`Batch`.

    Returns:
        Logits [N, E, C], and per sample ``labels`` and where present ``context`` and ``group`` [N].

    Raises:
        InvalidInputError: If there are no batches, or they or the answers are not as described.
    """
    parameter = next(model.parameters(), torch.empty(0))
    was_training = model.training
    model.eval()
    logits, others = [], []
    try:
        for inputs, *rest in loader:
            parts = 1 <= len(rest) <= len(PARTS)
            require(parts, "loader", f"give inputs, {', '.join(PARTS)}", len(rest) + 1)
            answers = model(inputs.to(parameter.device))
            several = isinstance(answers, list | tuple) and len(answers) > 0
            require(several, "model", "return a list of logits", type(answers).__name__)
            logits.append(torch.stack(list(answers), dim=1).double().cpu().numpy())
            others.append([part.cpu().numpy() for part in rest])
    finally:
        model.train(was_training)
    require(len(logits) > 0, "loader", "give at least one batch", 0)
    columns = zip(*others, strict=True)
    named = zip(PARTS, map(np.concatenate, columns), strict=False)
    return np.concatenate(logits), dict(named)


def record_trace(
    model: nn.Module,
    loader: Iterable[Batch],
    *,
    name: str = "trace",
    cost: Sequence[float] | None = None,
) -> ExitTrace:
    """Record what an early-exit network answers.

    Args:
        model: Module that returns a list of logits [B, C], one per exit, the last exit last; it is
            run in evaluation mode on the device it is on, and left in the mode it was in.
        loader: Batches of inputs and labels, perhaps with context numbers, perhaps with groups;
            not shuffled if the rows of the trace are to be recognized.
        name: Name of the trace.
        cost: Cost of an answer at each exit, or None; see :func:`measure_latency`.

    Returns:
        The trace: largest softmax value and whether its class is the label.

    Example:
        >>> class Coin(nn.Module):
        ...     def forward(self, x):
        ...         return [x, 2 * x]
        >>> batches = [(torch.tensor([[0.0, 3.0], [1.0, 0.0]]), torch.tensor([1, 1]))]
        >>> record_trace(Coin(), batches).correct.tolist()
        [[True, True], [False, False]]
    """
    logits, parts = record_logits(model, loader)
    return trace_of_logits(logits, parts, name=name, cost=cost)


def trace_of_logits(
    logits: np.ndarray,
    parts: dict[str, np.ndarray],
    *,
    name: str,
    cost: Sequence[float] | None = None,
) -> ExitTrace:
    """Return the trace that logits make.

    Args:
        logits: Logits [N, E, C].
        parts: ``labels`` [N], perhaps ``context`` and ``group``.
        name: Name of the trace.
        cost: Cost of an answer at each exit, or None.

    Returns:
        The trace.
    """
    proper = bool(np.isfinite(logits).all())
    require(proper, "model", "return finite logits", "nan or infinite")
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    return ExitTrace(
        name=name,
        # The largest weight is exp(0) = 1.
        confidences=1.0 / weights.sum(axis=2),
        correct=logits.argmax(axis=2) == parts["labels"][:, None],
        context=parts.get("context"),
        group=parts.get("group"),
        cost=None if cost is None else np.asarray(cost),
    )


@torch.no_grad()
def measure_latency(
    answer: Callable[[Tensor, int], object], inputs: Tensor, exits: int, *, repeats: int = 50
) -> list[float]:
    """Return how long this machine takes for one answer at each exit.

    The exits take turns, so that whatever else the machine does meets all of them alike.

    Args:
        answer: Computes an input up to a number of exits, 1 to E, and the answers on the way.
        inputs: One input [1, ...].
        exits: Number of exits E.
        repeats: Timed answers per exit, >= 1; their median counts.

    Returns:
        Latency of an answer at each exit, the way to it included [s], [E]; non-decreasing.

    Raises:
        InvalidInputError: If there are no repeats.
    """
    require(repeats >= 1, "repeats", "be >= 1", repeats)
    seconds = np.empty((repeats, exits))
    for turn in range(-WARM_UP, repeats):
        for place in range(exits):
            start = time.perf_counter()
            answer(inputs, place + 1)
            if turn >= 0:
                seconds[turn, place] = time.perf_counter() - start
    # A later exit does all that an earlier one does, so that less can only be noise of the clock.
    return [float(value) for value in np.maximum.accumulate(np.median(seconds, axis=0))]
