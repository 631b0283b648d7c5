"""What Bayesian searches share: a Gaussian process on the normal scores of values.

Values are replaced by normal scores of their ranks, which tames losses that span decades and
penalties alike. Kernels are those of the searches: what makes two candidates alike is their matter.

References:
    Rasmussen and Williams, Gaussian processes for machine learning, MIT Press, 2006, chapters 2
    and 5.
    Salinas, Shen and Perrone, A quantile-based approach for hyperparameter transfer learning, ICML
    2020 (normal scores).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, cholesky
from scipy.special import ndtri
from scipy.stats import norm, rankdata

__all__ = ["expected_improvement", "log_likelihood", "normal_scores", "posterior"]

Floats = NDArray[np.float64]

NOISE = 1e-3
"""Variance of what no kernel explains, beside a variance of values of 1."""


def normal_scores(values: Floats) -> Floats:
    """Return the normal scores of the ranks of values [N]."""
    return np.asarray(ndtri((rankdata(values) - 0.5) / len(values)))


def posterior(kernel: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Return what is believed of candidates that have not been looked at.

    Args:
        kernel: Prior covariance of N candidates that have been looked at and M that have not, in
            this order [N + M, N + M].
        scores: Values of the former [N].

    Returns:
        Mean [M] and a root of the covariance [M, M] of the others.
    """
    seen = slice(len(scores))
    factor = cho_factor(kernel[seen, seen] + NOISE * np.eye(len(scores)), lower=True)
    across = kernel[seen, len(scores) :]
    mean = across.T @ cho_solve(factor, scores)
    covariance = kernel[len(scores) :, len(scores) :] - across.T @ cho_solve(factor, across)
    return mean, cholesky(covariance + NOISE * np.eye(len(mean)), lower=True)


def expected_improvement(mean: Floats, root: Floats, best: float) -> Floats:
    """Return by how much values are expected to fall below the best one [N].

    Args:
        mean: Their means [N].
        root: A root of their covariance [N, N].
        best: The lowest value so far.

    Returns:
        Expected improvements, >= 0.
    """
    deviation = np.sqrt((root**2).sum(axis=1))
    ahead = (best - mean) / deviation
    return np.asarray(deviation * (ahead * norm.cdf(ahead) + norm.pdf(ahead)))


def log_likelihood(kernel: Floats, scores: Floats) -> float:
    """Return the log marginal likelihood of values, but for a constant.

    Args:
        kernel: Their prior covariance [N, N].
        scores: The values [N].

    Returns:
        Its value.
    """
    factor = cho_factor(kernel + NOISE * np.eye(len(scores)), lower=True)
    fit = scores @ cho_solve(factor, scores)
    return float(-0.5 * fit - np.log(np.diag(factor[0])).sum())
