"""A generative model of exit traces, for sweeps that no recorded trace is long enough for.

A sample belongs to a context k. How easy it looks is a standard Gaussian *score* that every block
of the network revises, so that a sample which is hard at one exit tends to be hard at the next:

    s_0 = e_0,   s_j = r_j s_(j-1) + sqrt(1 - r_j**2) e_j,   e_j independent standard Gaussians.

Its confidence is an increasing function of the score, made of straight pieces in the logit of what
lies above chance, the confidence f of a guess:

    c_j = f + (1 - f) / (1 + exp(-g_kj(s_j))).

Its answer is right when a second such process, with its own persistence, stays below the
confidence: v_j = Phi(w_j) <= c_j. So an answer of confidence c is right with probability c (the
model is calibrated at every exit), the accuracy of an exit is its mean confidence, and answers of a
sample at neighbouring exits agree more often than by chance. Fitted models have accuracies that do
not fall from exit to exit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, isotonic_regression
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import rankdata

from datagen.errors import require
from datagen.exits.trace import ExitTrace

__all__ = ["KNOTS", "SyntheticExits"]

Floats = NDArray[np.float64]

KNOTS: Floats = np.array([-2.5, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.5])
"""Scores between which confidences are interpolated; the outer pieces go on for ever."""

SUREST = 1e-6
"""Confidences nearer than this to chance or to 1 are not told apart: their logits would be huge."""

SUM_TOLERANCE = 1e-9
"""Slack for shares written as decimal fractions."""

QUADRATURE = 201
"""Points that means over the score are taken at; the quantiles of a uniform grid."""

PERSISTENCES: Floats = np.linspace(0.0, 1.0, 101)
"""Persistences of answers that are tried when fitting: observed agreement is no sharper."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SyntheticExits:
    """The model above, with K contexts and E exits.

    Args:
        shares: Share of the samples in each context [K]; they sum to 1.
        logits: Logit of the confidence above chance at each knot [K, E, 9], non-decreasing along
            the last axis.
        persistence: Correlation of the scores of each exit with those of the one before [E - 1], in
            [0, 1].
        agreement: The same for the process that decides whether answers are right [E - 1].
        chance: Confidence of a guess, one over the number of classes, in [0, 1).
    """

    shares: Floats
    logits: Floats = field(repr=False)
    persistence: Floats
    agreement: Floats
    chance: float

    def __post_init__(self) -> None:
        for name in ("shares", "logits", "persistence", "agreement"):
            values = np.array(getattr(self, name), dtype=np.float64)
            require(bool(np.isfinite(values).all()), name, "hold finite numbers", values)
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        shape = self.logits.shape
        proper = len(shape) == 3 and shape[1] >= 1 and shape[2] == len(KNOTS)
        require(proper, "logits", f"have shape [K, E, {len(KNOTS)}]", shape)
        ordered = bool((np.diff(self.logits, axis=2) >= 0).all())
        require(ordered, "logits", "not fall from knot to knot", self.logits)
        one = self.shares.shape == shape[:1] and bool((self.shares >= 0).all())
        right = one and abs(float(self.shares.sum()) - 1) <= SUM_TOLERANCE
        require(right, "shares", f"hold {shape[0]} numbers >= 0 that sum to 1", self.shares)
        for name in ("persistence", "agreement"):
            values = getattr(self, name)
            inside = values.shape == (shape[1] - 1,) and bool(((values >= 0) & (values <= 1)).all())
            require(inside, name, f"hold {shape[1] - 1} numbers in [0, 1]", values)
        require(0 <= self.chance < 1, "chance", "lie in [0, 1)", self.chance)

    @property
    def accuracy(self) -> Floats:
        """Share of right answers by context and exit, which is the mean confidence [K, E]."""
        scores = ndtri((np.arange(QUADRATURE) + 0.5) / QUADRATURE)
        levels = np.apply_along_axis(lambda row: _curve(scores, row), 2, self.logits)
        return np.asarray((self.chance + (1 - self.chance) * expit(levels)).mean(axis=2))

    @classmethod
    def of_accuracy(
        cls,
        accuracy: ArrayLike,
        *,
        spread: float = 2.0,
        persistence: float = 0.8,
        agreement: float = 0.9,
        chance: float = 0.1,
        shares: Sequence[float] | None = None,
    ) -> SyntheticExits:
        """Return a model whose exits are right as often as wished.

        Args:
            accuracy: Of each exit [E], or of each context and exit [K, E]; non-decreasing from exit
                to exit, in (chance, 1).
            spread: Standard deviation of the logits: 0 for samples that are all alike.
            persistence: Correlation of the scores of neighbouring exits, in [0, 1].
            agreement: The same for whether answers are right, in [0, 1].
            chance: Confidence of a guess, in [0, 1).
            shares: Share of each context [K]; None for equal ones.

        Returns:
            The model.

        Raises:
            InvalidInputError: If an argument is out of its range.

        Example:
            >>> model = SyntheticExits.of_accuracy([0.6, 0.8, 0.9])
            >>> model.accuracy.round(3).tolist()
            [[0.6, 0.8, 0.9]]
        """
        wished = np.atleast_2d(np.asarray(accuracy, dtype=np.float64))
        inside = wished.ndim == 2 and bool(((wished > chance) & (wished < 1)).all())
        require(inside, "accuracy", f"lie in ({chance:g}, 1)", wished)
        rising = bool((np.diff(wished, axis=1) >= 0).all())
        require(rising, "accuracy", "not fall from exit to exit", wished)
        require(0 <= spread < np.inf, "spread", "be finite and >= 0", spread)
        contexts, exits = wished.shape
        flat = np.tile(spread * KNOTS, (contexts, exits, 1))
        even = np.full(contexts, 1.0 / contexts)
        return cls(
            shares=even if shares is None else np.asarray(shares),
            logits=_shifted(flat, wished, chance),
            persistence=np.full(exits - 1, persistence),
            agreement=np.full(exits - 1, agreement),
            chance=chance,
        )

    @classmethod
    def fit(cls, trace: ExitTrace, *, chance: float, seed: int = 0) -> SyntheticExits:
        """Return the model that is like a recorded trace.

        Args:
            trace: Calibrated confidences, at least two samples in each context.
            chance: Confidence of a guess, one over the number of classes, in [0, 1).
            seed: Of the draws by which the agreement of answers is compared.

        Returns:
            The model: quantiles of the confidences by context and exit, shifted where accuracies
            would fall; rank correlations between neighbouring exits; agreement of their answers.

        Raises:
            InvalidInputError: If the chance is outside [0, 1) or a context has one sample.
        """
        require(0 <= chance < 1, "chance", "lie in [0, 1)", chance)
        context = np.zeros(trace.samples, np.int64) if trace.context is None else trace.context
        counts = np.bincount(context)
        require(counts.min() >= 2, "trace", "have two samples in each context", counts.tolist())
        above = np.clip((trace.confidences - chance) / (1 - chance), SUREST, 1 - SUREST)
        parts = [above[context == number] for number in range(len(counts))]
        logits = np.stack([logit(np.quantile(part, ndtr(KNOTS), axis=0).T) for part in parts])
        means = np.stack([chance + (1 - chance) * part.mean(axis=0) for part in parts])
        rising = np.stack([isotonic_regression(row).x for row in means])
        scores = np.empty_like(above)
        for number, part in enumerate(parts):
            scores[context == number] = ndtri(rankdata(part, axis=0) / (len(part) + 1))
        pairs = range(trace.exits - 1)
        related = [np.corrcoef(scores[:, e], scores[:, e + 1])[0, 1] for e in pairs]
        return cls(
            shares=counts / trace.samples,
            logits=_shifted(logits, rising, chance),
            persistence=np.clip(np.nan_to_num(related), 0.0, 1.0),
            agreement=np.array([_agreement(trace, e, seed) for e in pairs]),
            chance=chance,
        )

    def sample(self, samples: int, *, seed: int, name: str = "synthetic") -> ExitTrace:
        """Return a trace of independent samples.

        Args:
            samples: How many, enough for one in each context.
            seed: Of everything random.
            name: Name of the trace.

        Returns:
            The trace; its samples stand context by context, each having its share of them.

        Raises:
            InvalidInputError: If there are too few samples for the contexts.
        """
        require(samples >= 1, "samples", "be >= 1", samples)
        bounds = np.round(np.cumsum(self.shares) * samples).astype(np.int64)
        counts = np.diff(bounds, prepend=0)
        filled = bool((counts >= 1).all())
        require(filled, "samples", "be enough for one in each context", samples)
        rng = np.random.default_rng(seed)
        scores = _process(rng, samples, self.persistence)
        answers = ndtr(_process(rng, samples, self.agreement))
        context = np.repeat(np.arange(len(counts)), counts)
        levels = np.empty_like(scores)
        for number in range(len(counts)):
            rows = context == number
            for place in range(scores.shape[1]):
                levels[rows, place] = _curve(scores[rows, place], self.logits[number, place])
        confidences = self.chance + (1 - self.chance) * expit(levels)
        return ExitTrace(
            name=name,
            confidences=np.minimum(confidences, 1.0),
            correct=answers <= confidences,
            context=context if len(counts) > 1 else None,
        )


def _process(rng: np.random.Generator, samples: int, persistence: Floats) -> Floats:
    """Return Gaussians that each exit revises [samples, E]."""
    found = rng.standard_normal((samples, len(persistence) + 1))
    for place, kept in enumerate(persistence):
        found[:, place + 1] = kept * found[:, place] + np.sqrt(1 - kept**2) * found[:, place + 1]
    return found


def _curve(scores: Floats, knots: Floats) -> Floats:
    """Return the straight pieces through the knots, the outer ones prolonged."""
    piece = np.clip(np.searchsorted(KNOTS, scores) - 1, 0, len(KNOTS) - 2)
    slope = np.diff(knots)[piece] / np.diff(KNOTS)[piece]
    return np.asarray(knots[piece] + slope * (scores - KNOTS[piece]))


def _shifted(logits: Floats, wished: Floats, chance: float) -> Floats:
    """Return curves moved up or down so that their mean confidences are as wished [K, E]."""
    scores = ndtri((np.arange(QUADRATURE) + 0.5) / QUADRATURE)
    moved = np.array(logits)
    reach = 2 * float(logit(1 - SUREST)) + float(np.abs(logits).max())
    for place in np.ndindex(wished.shape):
        levels = _curve(scores, logits[place])
        target = float(np.clip((wished[place] - chance) / (1 - chance), SUREST, 1 - SUREST))

        def excess(shift: float, levels: Floats = levels, target: float = target) -> float:
            return float(expit(levels + shift).mean()) - target

        moved[place] += brentq(excess, -reach, reach)
    return moved


def _agreement(trace: ExitTrace, place: int, seed: int) -> float:
    """Return the persistence under which two exits are right together as often as they were."""
    rng = np.random.default_rng([seed, place])
    first, other = rng.standard_normal((2, trace.samples))
    bound = ndtri(np.clip(trace.confidences[:, place : place + 2], SUREST, 1 - SUREST))
    observed = trace.correct[:, place : place + 2].all(axis=1).mean()
    kept = PERSISTENCES[:, None]
    second = kept * first + np.sqrt(1 - kept**2) * other
    both = ((first <= bound[:, 0]) & (second <= bound[:, 1])).mean(axis=1)
    return float(PERSISTENCES[np.abs(both - observed).argmin()])
