"""How likely an answer is right, by how sure the network was: calibrated confidences.

Thresholds that are chosen by counting right answers of some hundred samples fit the luck of these
samples. Confidences say the same without luck, once they are calibrated: at every exit a logistic
curve over the logit of the confidence, drawn to the confidence itself, or to the curve of all
contexts, where samples are few.

References:
    Platt, Probabilistic outputs for support vector machines, 1999 (the curve).
    Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, ICML 2017.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from datagen.exits import ExitTrace

__all__ = ["believed", "calibration_curves"]

Floats = NDArray[np.float64]

SUREST = 1.0 - 1e-4
"""Confidences beyond are not told apart: their logits would be endless."""

SAMPLES = 5.0
"""Weight of what a curve is drawn to, like that of as many samples."""

STEPS = 20
"""Newton steps; the likelihood is concave and a few are usual."""


def calibration_curves(trace: ExitTrace, drawn_to: Floats | None = None) -> Floats:
    """Fit the curves of a trace.

    Args:
        trace: Recorded answers.
        drawn_to: Intercept and slope that each exit's curve is drawn to [E, 2]; (0, 1), the
            confidence itself, by default.

    Returns:
        Intercept and slope of the logit of being right over the logit of the confidence [E, 2].
    """
    first = np.tile([0.0, 1.0], (trace.exits, 1)) if drawn_to is None else drawn_to
    levels = _levels(trace)
    curves = [
        _fitted(levels[:, exit_], trace.correct[:, exit_], first[exit_])
        for exit_ in range(trace.exits)
    ]
    return np.stack(curves)


def _fitted(levels: Floats, right: NDArray[np.bool_], drawn_to: Floats) -> Floats:
    """Return the curve of one exit by Newton's method."""
    inputs, curve = np.stack([np.ones_like(levels), levels], axis=1), drawn_to.copy()
    for _ in range(STEPS):
        chance = expit(inputs @ curve)
        slope = inputs.T @ (chance - right) + SAMPLES * (curve - drawn_to)
        bend = (inputs * (chance * (1.0 - chance))[:, None]).T @ inputs + SAMPLES * np.eye(2)
        curve -= np.linalg.solve(bend, slope)
    return np.asarray(curve)


def _levels(trace: ExitTrace) -> Floats:
    return np.asarray(logit(np.clip(trace.confidences, 1.0 - SUREST, SUREST)))


def believed(trace: ExitTrace, curves: Floats) -> Floats:
    """Return how likely every answer is right.

    Args:
        trace: Recorded answers.
        curves: What :func:`calibration_curves` gave [E, 2].

    Returns:
        Probabilities [N, E].
    """
    return np.asarray(expit(curves[:, 0] + curves[:, 1] * _levels(trace)))
