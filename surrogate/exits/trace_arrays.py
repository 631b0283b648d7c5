"""The arrays that the compiled form of a :class:`~surrogate.exits.trace_network.TraceNet` works on.

Letters: T vectors of a tile, E exits, M knots, C contexts, W width, N layers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Floats", "Found", "Scratch", "Weights"]

Floats = NDArray[np.float32]


class Weights(NamedTuple):
    """A network as the kernel reads it; affine parts of normalizations are in what follows them.

    Args:
        knots: Confidences of the table [E, M].
        right: Shares of right answers of the table [C, E, M].
        wrong: Shares of wrong ones [C, E, M].
        rate: Logit of the share of right answers at each exit [C, E].
        static: What is known of each token without thresholds [C, E, W].
        embedded: Weights and, last, biases of the features of thresholds [1, W, 8 + 1].
        joint: The same of queries, keys and values [N, 3 W, W + 1].
        attended: Of what was attended to [N, W, W + 1].
        wide: Of the widening layer [N, 2 W, W + 1].
        narrow: Of the narrowing one [N, W, 2 W + 1].
        outputs: Of the read-out [1, outputs, W + 1].
    """

    knots: Floats
    right: Floats
    wrong: Floats
    rate: Floats
    static: Floats
    embedded: Floats
    joint: Floats
    attended: Floats
    wide: Floats
    narrow: Floats
    outputs: Floats


class Scratch(NamedTuple):
    """Room for a tile.

    Args:
        tau: Thresholds, at most 1 [E - 1, T].
        logits: Logits of the shares of right and wrong answers that reach them [E - 1, 2, T].
        reached: These shares [E - 1, 2, T].
        features: What a token is told of the threshold before it [8, T].
        tokens: Tokens, then states [E, W, T].
        moments: Mean and inverse standard deviation of a token [2, T].
        normal: A token with mean 0 and variance 1 [W, T]; W filled up.
        joint: Query, key and value of each token [E, 3 W, T]; 3 W filled up.
        score: Attention to each token, and its sum [E + 1, T].
        mixed: What was attended to [W, T]; W filled up.
        wide: The widened token [wide, T].
        rise: What a layer adds to a token [W, T]; W filled up.
        outputs: What the read-out says of a token [outputs, T].
        mixture: The functions of right and of wrong answers, and the sum of weights [3, T].
        staying: Share that has not left before an exit [T].
    """

    tau: Floats
    logits: Floats
    reached: Floats
    features: Floats
    tokens: Floats
    moments: Floats
    normal: Floats
    joint: Floats
    score: Floats
    mixed: Floats
    wide: Floats
    rise: Floats
    outputs: Floats
    mixture: Floats
    staying: Floats


class Found(NamedTuple):
    """Predictions for B vectors, as in :class:`~surrogate.exits.prediction.ExitPrediction` [B, E].

    Args:
        mix: Share of all that leaves at each exit.
        accuracy: Share of right answers of those who leave there.
        confidence: Their mean confidence.
    """

    mix: Floats
    accuracy: Floats
    confidence: Floats
