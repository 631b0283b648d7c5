"""What a few recorded samples say about thresholds: counts as the tables do, but smooth.

Confidences are compared by rank, so that nothing depends on the network's scale: the place of a
confidence is the logit of the share of samples that are at least as sure. A sample leaves softly,
by a sigmoid of how far the threshold lies below it, and goes on with what is left of it. With a
narrow sigmoid this is the empirical table; with a wide one it is biased and less noisy. Several
widths are told, and a network learns how far to trust each.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["PAST", "STATIC", "WIDTHS", "Evidence", "Samples", "evidence_of"]

WIDTHS = (0.15, 0.5, 1.2)
"""Widths of the sigmoids; logits of uniform shares have the standard deviation 1.8."""

PRIOR = 0.5
"""Samples' worth of trust in what is assumed where no sample gets."""

FARTHEST = 9.0
"""Largest logit of a share: of a ten-thousandth."""

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Levels at which the confidences of an exit are described."""

STATIC = len(QUANTILES) + 8
"""Numbers that describe an exit."""

PAST = 3 * len(WIDTHS) + 1
"""Numbers that describe who gets to an exit."""


class Samples(NamedTuple):
    """Recorded samples of G networks, n of each.

    Args:
        confidences: Confidences [G, n, E].
        correct: 1 where the answer is right, else 0 [G, n, E].
    """

    confidences: Tensor
    correct: Tensor


class Evidence(NamedTuple):
    """Evidence about V vectors of thresholds of each of G networks.

    Args:
        static: Description of each exit [G, E, STATIC].
        past: Of those who get to each exit; depends on earlier thresholds only [G, V, E, PAST].
        leaving: Logits of the share that leaves, by width and by the exit's own table
            [G, V, E - 1, W + 1]; they fall as the own threshold rises.
        accuracy: Logits of the share of right answers of those who leave [G, V, E, W].
        confidence: Mean confidence of those who leave [G, V, E, W].
    """

    static: Tensor
    past: Tensor
    leaving: Tensor
    accuracy: Tensor
    confidence: Tensor


def evidence_of(thresholds: Tensor, samples: Samples) -> Evidence:
    """Weigh samples against thresholds; differentiable in the thresholds.

    Args:
        thresholds: Thresholds of the intermediate classifiers [G, V, E - 1].
        samples: The samples.

    Returns:
        The evidence.
    """
    confidences, correct = samples
    place = _places(confidences)
    marginal = _marginal(thresholds, confidences)
    networks, vectors, classifiers = thresholds.shape
    staying = thresholds.new_ones(networks, vectors, confidences.shape[1], len(WIDTHS))
    before = thresholds.new_zeros(networks, vectors, len(WIDTHS) + 1)
    rows: list[_AtExit] = []
    for e in range(classifiers + 1):
        last = e == classifiers
        soft = (
            torch.ones_like(staying)
            if last
            else _leaving(thresholds[:, :, e], marginal[:, :, e], place[:, :, e])
        )
        least = thresholds.new_zeros(()) if last else thresholds[:, :, e, None].clamp_max(1.0)
        own = None if last else marginal[:, :, e, None]
        samples_at_exit = Samples(confidences[:, None, :, e, None], correct[:, None, :, e, None])
        row = _at_exit(staying, soft, samples_at_exit, least, own, before)
        rows.append(row)
        before = row.leaving
        staying = staying * (1.0 - soft)
    return Evidence(
        static=_static(confidences, correct, place),
        past=torch.stack([row.past for row in rows], dim=2),
        leaving=torch.stack([row.leaving for row in rows[:-1]], dim=2),
        accuracy=torch.stack([row.accuracy for row in rows], dim=2),
        confidence=torch.stack([row.confidence for row in rows], dim=2),
    )


class _AtExit(NamedTuple):
    """Evidence about one exit, as in :class:`Evidence` [G, V, ...]."""

    past: Tensor
    leaving: Tensor
    accuracy: Tensor
    confidence: Tensor


def _leaving(tau: Tensor, level: Tensor, place: Tensor) -> Tensor:
    """Return how far each sample leaves [G, V, n, W], given thresholds and their logits [G, V]."""
    gap = level[:, :, None, None] - place[:, None, :, None]
    soft = torch.sigmoid(gap / tau.new_tensor(WIDTHS))
    open_to_all = torch.where(tau[:, :, None, None] <= 0, 1.0, soft)
    return torch.where(tau[:, :, None, None] > 1, 0.0, open_to_all)


def _at_exit(
    staying: Tensor,
    soft: Tensor,
    samples: Samples,
    least: Tensor,
    own: Tensor | None,
    before: Tensor,
) -> _AtExit:
    """Count at one exit.

    Args:
        staying: How much of each sample gets there [G, V, n, W].
        soft: How much of that leaves [G, V, n, W].
        samples: Confidences and answers there [G, 1, n, 1].
        least: Smallest confidence of those who leave [G, V, 1].
        own: Logit of the share that the threshold's own table says [G, V, 1]; None at the last.
        before: Logits of the shares at the exit before [G, V, W + 1].

    Returns:
        The evidence; at the last exit, where all leave, ``leaving`` is that of the exit before.
    """
    count = staying.shape[2]
    gone = staying * soft
    present, leaving = staying.sum(2), gone.sum(2)
    rate = samples.correct.mean(2)
    right_rate = ((staying * samples.correct).sum(2) + PRIOR * rate) / (present + PRIOR)
    right = ((gone * samples.correct).sum(2) + PRIOR * right_rate) / (leaving + PRIOR)
    sure = ((gone * samples.confidences).sum(2) + PRIOR * least) / (leaving + PRIOR)
    known = torch.log(present / count + PRIOR / count)
    if own is not None:
        shares = (leaving + PRIOR * torch.sigmoid(own)) / (present + PRIOR)
        parts = torch.cat([_logit(shares), own], dim=-1)
    else:
        parts = before
    past = torch.cat([known, _logit(right_rate), before], dim=-1)
    return _AtExit(past, parts, _logit(right), sure)


def _logit(shares: Tensor) -> Tensor:
    return torch.logit(shares, eps=math.exp(-FARTHEST))


def _places(confidences: Tensor) -> Tensor:
    """Return the logit of the share of samples at least as sure, by sample and exit [G, n, E]."""
    count = confidences.shape[1]
    rank = confidences.argsort(dim=1, descending=True).argsort(dim=1)
    return torch.logit((rank.to(confidences.dtype) + 0.5) / count)


def _marginal(thresholds: Tensor, confidences: Tensor) -> Tensor:
    """Return the logit of the share of samples that reach each threshold [G, V, E - 1].

    Shares are interpolated between samples, and from 1 at 0 to 0 at 1 beyond them.
    """
    networks, vectors, classifiers = thresholds.shape
    count = confidences.shape[1]
    ordered = confidences[:, :, :classifiers].sort(dim=1).values.transpose(1, 2)  # [G, E - 1, n]
    ends = ordered.new_zeros(networks, classifiers, 1)
    knots = torch.cat([ends, ordered, ends + 1.0], dim=-1)
    inner = (count - torch.arange(count, dtype=knots.dtype, device=knots.device) - 0.5) / count
    shares = torch.cat([inner.new_ones(1), inner, inner.new_zeros(1)])
    tau = thresholds.clamp(0.0, 1.0).transpose(1, 2).contiguous()  # [G, E - 1, V]
    below = torch.searchsorted(ordered.contiguous(), tau.detach(), right=True)
    start, end = knots.gather(-1, below), knots.gather(-1, below + 1)
    # Where samples or thresholds are equal to 1, the last interval has no length.
    part = (tau - start) / (end - start).clamp_min(1e-12)
    share = torch.lerp(shares[below], shares[below + 1], part.clamp(0.0, 1.0))
    return torch.logit(share, eps=math.exp(-FARTHEST)).transpose(1, 2)


def _static(confidences: Tensor, correct: Tensor, place: Tensor) -> Tensor:
    """Return the description of each exit [G, E, STATIC]."""
    networks, count, exits = confidences.shape
    levels = confidences.new_tensor(QUANTILES)
    spread = torch.logit(torch.quantile(confidences, levels, dim=1), eps=1e-4) / FARTHEST
    unit = (place - place.mean(1, keepdim=True)) / place.std(1, keepdim=True)
    correlation = torch.einsum("gne,gnf->gef", unit, unit) / count
    rate = correct.mean(1)
    sure_right = (unit * correct).mean(1)
    index = torch.arange(exits, device=rate.device)
    next_to = correlation[:, index[1:], index[:-1]]
    edge = torch.zeros_like(rate[:, :1])
    ones = torch.ones_like(rate)
    parts = [
        rate,
        sure_right,
        correlation.mean(-1),
        torch.cat([edge, next_to], dim=1),
        torch.cat([next_to, edge], dim=1),
        ones * math.log(count) / FARTHEST,
        ones * index / (exits - 1),
        ones / exits,
    ]
    return torch.cat([spread.permute(1, 2, 0), torch.stack(parts, dim=-1)], dim=-1)
