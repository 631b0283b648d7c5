"""The forward pass of a :class:`~surrogate.exits.trace_network.TraceNet`, compiled.

A network this small spends more time between its operations than in them. Here a *tile* of vectors
goes through all of it at once: every array has the vectors of the tile as its last axis, so that
each line of arithmetic is one of the processor's wide instructions, and nothing leaves its cache.

Letters: T vectors of a tile, E exits, M knots, C contexts, W width, N layers, I inputs, O outputs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datagen.compiled import contracted, inlined
from datagen.simulator.index_kernel import unsigned
from surrogate.exits.constants import (
    LEAST_SHARE,
    LOGIT_SCALE,
    NOBODY,
    NORM_EPSILON,
    PARTS,
    TINY,
)
from surrogate.exits.trace_arrays import Floats, Found, Scratch, Weights

__all__ = ["INPUTS_TOGETHER", "OUTPUTS_TOGETHER", "TILE", "predict"]

Ints = NDArray[np.int64]

TILE = 32
"""Vectors of a tile: enough to fill the widest instructions twice, few enough for the cache."""

OUTPUTS_TOGETHER, INPUTS_TOGETHER = 2, 4
"""Outputs and inputs of a product that are handled at once; weights are filled up to multiples."""

_LEAST_EXPONENT, _MOST_EXPONENT = np.float32(-87.0), np.float32(88.0)
"""Beyond these, exp leaves the range of normal numbers."""

_LOG2_E = np.float32(1.44269504)
_LN_2_HIGH, _LN_2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
"""ln 2 as the sum of a number of few bits, whose small multiples are exact, and the rest."""

# Coefficients of (exp(r) - 1 - r) / r^2 for |r| <= ln 2 / 2, by power; relative error 1e-7
# (Moshier, Methods and Programs for Mathematical Functions, 1989).
_EXP_0, _EXP_1, _EXP_2 = (
    np.float32(5.0000001201e-1),
    np.float32(1.6666665459e-1),
    np.float32(4.1665795894e-2),
)
_EXP_3, _EXP_4, _EXP_5 = (
    np.float32(8.3334519073e-3),
    np.float32(1.3981999507e-3),
    np.float32(1.9875691500e-4),
)

_ONE, _HALF, _ZERO = np.float32(1.0), np.float32(0.5), np.float32(0.0)
_MANTISSA_BITS, _EXPONENT_OF_ONE = np.int32(23), np.int32(127)
_LEAST_SHARE, _NOBODY = np.float32(LEAST_SHARE), np.float32(NOBODY)
_LOGIT_SCALE, _TINY = np.float32(LOGIT_SCALE), np.float32(TINY)
_NORM_EPSILON = np.float32(NORM_EPSILON)


@inlined
def _exp(x: Any) -> Any:
    bounded = min(max(x, _LEAST_EXPONENT), _MOST_EXPONENT)
    power = np.floor(bounded * _LOG2_E + _HALF)
    rest = bounded - power * _LN_2_HIGH
    rest -= power * _LN_2_LOW
    series = _EXP_5
    series = series * rest + _EXP_4
    series = series * rest + _EXP_3
    series = series * rest + _EXP_2
    series = series * rest + _EXP_1
    series = series * rest + _EXP_0
    series = series * (rest * rest) + rest + _ONE
    bits = np.int32((np.int32(power) + _EXPONENT_OF_ONE) << _MANTISSA_BITS)
    return series * bits.view(np.float32)


@inlined
def _sigmoid(x: Any) -> Any:
    return _ONE / (_ONE + _exp(-x))


@inlined
def _logit(share: Any) -> Any:
    bounded = min(max(share, _LEAST_SHARE), _ONE - _LEAST_SHARE)
    return np.float32(math.log(bounded / (_ONE - bounded)))


@contracted
def _product(weights: Floats, layer: int, x: Floats, out: Floats) -> None:
    """Multiply one layer's [O, I + 1], biases last, by [I, T] to [O, T]."""
    last = unsigned(weights.shape[2] - 1)
    for pair in range(weights.shape[1] // OUTPUTS_TOGETHER):
        a, b = unsigned(OUTPUTS_TOGETHER * pair), unsigned(OUTPUTS_TOGETHER * pair + 1)
        for column in range(TILE):
            t = unsigned(column)
            out[a, t] = weights[layer, a, last]
            out[b, t] = weights[layer, b, last]
        for group in range((weights.shape[2] - 1) // INPUTS_TOGETHER):
            i = unsigned(INPUTS_TOGETHER * group)
            j, k, m = i + unsigned(1), i + unsigned(2), i + unsigned(3)
            a0, a1 = weights[layer, a, i], weights[layer, a, j]
            a2, a3 = weights[layer, a, k], weights[layer, a, m]
            b0, b1 = weights[layer, b, i], weights[layer, b, j]
            b2, b3 = weights[layer, b, k], weights[layer, b, m]
            for column in range(TILE):
                t = unsigned(column)
                x0, x1, x2, x3 = x[i, t], x[j, t], x[k, t], x[m, t]
                out[a, t] += a0 * x0 + a1 * x1 + a2 * x2 + a3 * x3
                out[b, t] += b0 * x0 + b1 * x1 + b2 * x2 + b3 * x3


@contracted
def _normalize(token: int, width: int, scratch: Scratch) -> None:
    """Shift and stretch the features of a token to mean 0 and variance 1."""
    tokens, moments, normal = scratch.tokens, scratch.moments, scratch.normal
    mean, inverse, share = unsigned(0), unsigned(1), _ONE / np.float32(width)
    for column in range(TILE):
        moments[mean, unsigned(column)] = _ZERO
        moments[inverse, unsigned(column)] = _ZERO
    for feature in range(width):
        for column in range(TILE):
            t = unsigned(column)
            moments[mean, t] += share * tokens[token, unsigned(feature), t]
    for feature in range(width):
        for column in range(TILE):
            t = unsigned(column)
            centred = tokens[token, unsigned(feature), t] - moments[mean, t]
            moments[inverse, t] += share * centred * centred
    for column in range(TILE):
        t = unsigned(column)
        moments[inverse, t] = _ONE / np.sqrt(moments[inverse, t] + _NORM_EPSILON)
    for feature in range(width):
        w = unsigned(feature)
        for column in range(TILE):
            t = unsigned(column)
            normal[w, t] = (tokens[token, w, t] - moments[mean, t]) * moments[inverse, t]


@contracted
def _attend(token: int, width: int, heads: int, scratch: Scratch) -> None:
    """Mix the values of a token and of those before it by how well their keys fit its query."""
    joint, score, mixed = scratch.joint, scratch.score, scratch.mixed
    size = width // heads
    scale = _ONE / np.sqrt(np.float32(size))
    total = unsigned(score.shape[0] - 1)
    for head in range(heads):
        for other in range(token + 1):
            f = unsigned(other)
            for column in range(TILE):
                score[f, unsigned(column)] = _ZERO
            for place in range(head * size, (head + 1) * size):
                q, k = unsigned(place), unsigned(width + place)
                for column in range(TILE):
                    t = unsigned(column)
                    score[f, t] += joint[unsigned(token), q, t] * joint[f, k, t]
        for column in range(TILE):
            score[total, unsigned(column)] = score[unsigned(0), unsigned(column)]
        for other in range(1, token + 1):
            for column in range(TILE):
                t = unsigned(column)
                score[total, t] = max(score[total, t], score[unsigned(other), t])
        for other in range(token + 1):
            f = unsigned(other)
            for column in range(TILE):
                t = unsigned(column)
                score[f, t] = _exp((score[f, t] - score[total, t]) * scale)
        for column in range(TILE):
            score[total, unsigned(column)] = _ZERO
        for other in range(token + 1):
            for column in range(TILE):
                t = unsigned(column)
                score[total, t] += score[unsigned(other), t]
        for place in range(head * size, (head + 1) * size):
            w, v = unsigned(place), unsigned(2 * width + place)
            for column in range(TILE):
                mixed[w, unsigned(column)] = _ZERO
            for other in range(token + 1):
                f = unsigned(other)
                for column in range(TILE):
                    t = unsigned(column)
                    mixed[w, t] += score[f, t] * joint[f, v, t]
            for column in range(TILE):
                t = unsigned(column)
                mixed[w, t] /= score[total, t]


@inlined
def _rise(token: int, width: int, scratch: Scratch) -> None:
    for feature in range(width):
        w = unsigned(feature)
        for column in range(TILE):
            t = unsigned(column)
            scratch.tokens[unsigned(token), w, t] += scratch.rise[w, t]


@contracted
def _transform(width: int, heads: int, weights: Weights, scratch: Scratch) -> None:
    """Take all tokens through the blocks of the transformer."""
    for layer in range(weights.joint.shape[0]):
        n = unsigned(layer)
        for token in range(scratch.tokens.shape[0]):
            e = unsigned(token)
            _normalize(e, width, scratch)
            _product(weights.joint, n, scratch.normal, scratch.joint[e])
            _attend(token, width, heads, scratch)
            _product(weights.attended, n, scratch.mixed, scratch.rise)
            _rise(token, width, scratch)
            _normalize(e, width, scratch)
            _product(weights.wide, n, scratch.normal, scratch.wide)
            for feature in range(weights.narrow.shape[2] - 1):
                w = unsigned(feature)
                for column in range(TILE):
                    t = unsigned(column)
                    scratch.wide[w, t] *= _sigmoid(scratch.wide[w, t])
            _product(weights.narrow, n, scratch.wide, scratch.rise)
            _rise(token, width, scratch)


@contracted
def _look_up(first: int, thresholds: Floats, row: Ints, weights: Weights, scratch: Scratch) -> None:
    """Find the shares of answers that reach the thresholds of a tile."""
    vectors, classifiers = thresholds.shape
    knots = weights.knots.shape[1]
    for exit_ in range(classifiers):
        e = unsigned(exit_)
        for column in range(TILE):
            t = unsigned(column)
            b = unsigned(min(first + column, vectors - 1))
            c = unsigned(row[b])
            tau = min(max(thresholds[b, e], _ZERO), _ONE)
            low, high = 1, knots - 1
            while low < high:  # the first inner knot above the threshold
                middle = (low + high) // 2
                if weights.knots[e, unsigned(middle)] <= tau:
                    low = middle + 1
                else:
                    high = middle
            above, below = unsigned(low), unsigned(low - 1)
            start, end = weights.knots[e, below], weights.knots[e, above]
            part = (tau - start) / max(end - start, _TINY)
            scratch.tau[e, t] = thresholds[b, e]
            for side, table in ((unsigned(0), weights.right), (unsigned(1), weights.wrong)):
                share = table[c, e, below] + part * (table[c, e, above] - table[c, e, below])
                whole = max(table[c, e, unsigned(0)], _LEAST_SHARE)
                scratch.reached[e, side, t] = share
                scratch.logits[e, side, t] = _logit(share / whole)


@contracted
def _embed(first: int, row: Ints, width: int, weights: Weights, scratch: Scratch) -> None:
    """Write the tokens: what is known of an exit, and of the threshold before it."""
    features, logits, tokens = scratch.features, scratch.logits, scratch.tokens
    for token in range(tokens.shape[0]):
        e = unsigned(token)
        if token > 0:
            before = unsigned(token - 1)
            for side in range(2):
                s, q, r = unsigned(side), unsigned(side + 2), unsigned(side + 4)
                for column in range(TILE):
                    t = unsigned(column)
                    scaled = logits[before, s, t] / _LOGIT_SCALE
                    features[s, t], features[q, t] = scaled, scaled * scaled
                    features[r, t] = scratch.reached[before, s, t]
            _product(weights.embedded, unsigned(0), features, scratch.rise)
        for feature in range(width):
            w = unsigned(feature)
            for column in range(TILE):
                t = unsigned(column)
                c = unsigned(row[unsigned(min(first + column, row.size - 1))])
                tokens[e, w, t] = weights.static[c, e, w]
                if token > 0:
                    tokens[e, w, t] += scratch.rise[w, t]


@contracted
def _passed(side: int, exit_: int, scratch: Scratch) -> None:
    """Find the share of right (side 0) or wrong answers that leave, of those who get to an exit."""
    outputs, mixture = scratch.outputs, scratch.mixture
    own, total = unsigned(side), unsigned(2)
    for column in range(TILE):
        t = unsigned(column)
        mixture[own, t] = mixture[total, t] = _ZERO
    for part in range(PARTS):
        slope, shift = unsigned(side * PARTS + part), unsigned((2 + side) * PARTS + part)
        weight = unsigned((4 + side) * PARTS + part)
        for column in range(TILE):
            t = unsigned(column)
            # softplus, whose logarithm is the one function here that is not a wide instruction
            bent = np.float32(math.log1p(_exp(-abs(outputs[slope, t]))))
            outputs[slope, t] = max(outputs[slope, t], _ZERO) + bent
        for column in range(TILE):
            t = unsigned(column)
            share = _exp(outputs[weight, t])
            level = scratch.logits[unsigned(exit_), own, t]
            mixture[own, t] += share * _sigmoid(outputs[slope, t] * level + outputs[shift, t])
            mixture[total, t] += share
    for column in range(TILE):
        mixture[own, unsigned(column)] /= mixture[total, unsigned(column)]


@contracted
def _read_out(
    first: int, row: Ints, width: int, weights: Weights, scratch: Scratch, found: Found
) -> None:
    """Write what is predicted of a tile."""
    tokens, outputs = scratch.tokens, scratch.outputs
    rest, last = 6 * PARTS, tokens.shape[0] - 1
    for column in range(TILE):
        scratch.staying[unsigned(column)] = _ONE
    for token in range(tokens.shape[0]):
        e = unsigned(token)
        _normalize(e, width, scratch)
        _product(weights.outputs, unsigned(0), scratch.normal, outputs)
        if token < last:
            _passed(0, token, scratch)
            _passed(1, token, scratch)
        for column in range(min(TILE, row.size - first)):
            t, b = unsigned(column), unsigned(first + column)
            rate = _sigmoid(weights.rate[unsigned(row[b]), e] + outputs[unsigned(rest), t])
            leaving, accuracy, least, scaled = _ONE, rate, _ZERO, _ZERO
            if token < last:
                right = rate * scratch.mixture[unsigned(0), t]
                leaving = min(right + (_ONE - rate) * scratch.mixture[unsigned(1), t], _ONE)
                # Where nobody leaves, as many are right as of those who get there.
                accuracy = min((right + _NOBODY * rate) / (leaving + _NOBODY), _ONE)
                tau = scratch.tau[e, t]
                least, scaled = min(tau, _ONE), scratch.logits[e, unsigned(0), t] / _LOGIT_SCALE
                if tau > _ONE:
                    leaving = _ZERO
                elif tau <= _ZERO:
                    leaving = _ONE
            raised = outputs[unsigned(rest + 1), t] + outputs[unsigned(rest + 2), t] * scaled
            raised += outputs[unsigned(rest + 3), t] * scaled * scaled
            found.mix[b, e] = leaving * scratch.staying[t]
            found.accuracy[b, e] = accuracy
            found.confidence[b, e] = least + (_ONE - least) * _sigmoid(raised)
            scratch.staying[t] *= _ONE - leaving


@contracted
def predict(
    thresholds: Floats,
    row: Ints,
    width: int,
    heads: int,
    weights: Weights,
    scratch: Scratch,
    found: Found,
) -> None:
    """Predict for vectors of thresholds, tile by tile.

    Args:
        thresholds: Thresholds, >= 0 [B, E - 1].
        row: Row of the table for each vector [B].
        width: Features per token W.
        heads: Attention heads.
        weights: The network.
        scratch: Room that no other thread uses, zeros at first.
        found: The predictions, overwritten.
    """
    for first in range(0, row.size, TILE):
        _look_up(first, thresholds, row, weights, scratch)
        _embed(first, row, width, weights, scratch)
        _transform(width, heads, weights, scratch)
        _read_out(first, row, width, weights, scratch, found)
