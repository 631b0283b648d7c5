"""What holds of every exit predictor by construction, whatever its weights are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from surrogate.exits.draws import CLOSED
from surrogate.exits.prediction import ExitPrediction, exit_mix
from tests.surrogate.exits.cases import EXITS, few_samples, few_shot_net, trace_net

Predict = Callable[[Tensor], ExitPrediction]

SUM_TOLERANCE = 1e-6
"""How far sums of the exit mix in single precision may be from 1."""

RISE = 1e-12
"""Rounding of shares in double precision."""


def by_trace(dtype: torch.dtype = torch.float64) -> Predict:
    network = trace_net(dtype)
    return lambda tau: network(tau, torch.ones(len(tau), dtype=torch.long))


def by_samples(dtype: torch.dtype = torch.float64) -> Predict:
    network, samples = few_shot_net(dtype), few_samples(dtype=dtype)

    def predict(tau: Tensor) -> ExitPrediction:
        found = network(tau[None], samples)
        return ExitPrediction(**{name: values[0] for name, values in vars(found).items()})

    return predict


PREDICTORS = {"trace": by_trace, "few-shot": by_samples}

any_predictor = pytest.mark.parametrize("kind", PREDICTORS)


def some_thresholds(count: int = 64, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 1.2 * torch.rand(count, EXITS - 1, generator=generator, dtype=dtype)


@any_predictor
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shares_are_shares(kind: str, dtype: torch.dtype) -> None:
    tau = some_thresholds(dtype=dtype)
    with torch.no_grad():
        found = PREDICTORS[kind](dtype)(tau)
    assert (found.mix.sum(-1) - 1).abs().max() <= SUM_TOLERANCE
    for name in ("leaving", "mix", "accuracy", "confidence"):
        values = getattr(found, name)
        assert values.shape == (64, EXITS)
        assert values.min() >= 0, name
        assert values.max() <= 1, name
    assert torch.equal(found.mix, exit_mix(found.leaving))
    open_ = tau <= 1
    assert (found.confidence[:, :-1][open_] >= tau[open_]).all()
    # Weights that do something: vectors differ in what is predicted.
    assert found.leaving[:, -2].std() > 0.01
    assert found.accuracy.std(0).min() > 1e-4


@any_predictor
@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), exit_=st.integers(0, EXITS - 2))
def test_fewer_leave_at_a_higher_threshold(kind: str, seed: int, exit_: int) -> None:
    own = torch.linspace(0.0, 1.1, 45, dtype=torch.float64)
    tau = some_thresholds(1, seed).repeat(45, 1)
    tau[:, exit_] = own
    predict = PREDICTORS[kind]()
    with torch.no_grad():
        leaving = predict(tau).leaving[:, exit_]
    assert (leaving.diff() <= RISE).all()
    assert leaving[0] == 1
    assert (leaving[own > 1] == 0).all()


@any_predictor
def test_a_closed_exit_keeps_everybody(kind: str) -> None:
    tau = some_thresholds()
    tau[:, 1] = CLOSED
    with torch.no_grad():
        found = PREDICTORS[kind]()(tau)
    assert (found.mix[:, 1] == 0).all()
    assert torch.isfinite(found.accuracy).all()
    everywhere = torch.full_like(tau, CLOSED)
    with torch.no_grad():
        assert (PREDICTORS[kind]()(everywhere).mix[:, -1] == 1).all()


@any_predictor
def test_later_thresholds_change_nothing_earlier(kind: str) -> None:
    tau, other = some_thresholds(), some_thresholds()
    other[:, 2] = some_thresholds(seed=2)[:, 2]
    predict = PREDICTORS[kind]()
    with torch.no_grad():
        one, two = predict(tau), predict(other)
    assert torch.equal(one.leaving[:, :2], two.leaving[:, :2])
    assert torch.equal(one.accuracy[:, :2], two.accuracy[:, :2])
    assert torch.equal(one.confidence[:, :2], two.confidence[:, :2])
    assert not torch.equal(one.accuracy[:, 3], two.accuracy[:, 3])


@any_predictor
def test_earlier_thresholds_change_what_comes_later(kind: str) -> None:
    tau, other = some_thresholds(), some_thresholds()
    other[:, 0] = some_thresholds(seed=2)[:, 0]
    predict = PREDICTORS[kind]()
    with torch.no_grad():
        one, two = predict(tau), predict(other)
    assert (one.leaving - two.leaving)[:, 1].abs().max() > 1e-3


@any_predictor
def test_gradients_are_differences(kind: str) -> None:
    predict = PREDICTORS[kind]()
    tau = 0.9 * some_thresholds(12) / 1.2 + 0.05
    tau.requires_grad_()
    weights = torch.linspace(0.3, 1.7, EXITS, dtype=torch.float64)

    def value(thresholds: Tensor) -> Tensor:
        found = predict(thresholds)
        return (weights * (found.mix + found.mix * found.accuracy + found.confidence)).sum(-1)

    (gradient,) = torch.autograd.grad(value(tau).sum(), tau)
    step = 1e-7
    with torch.no_grad():
        for e in range(EXITS - 1):
            shift = torch.zeros_like(tau)
            shift[:, e] = step
            difference = (value(tau + shift) - value(tau - shift)) / (2 * step)
            assert difference.abs().max() > 1e-2
            assert torch.allclose(gradient[:, e], difference, rtol=1e-4, atol=1e-5)


@any_predictor
def test_a_vector_does_not_mind_its_neighbours(kind: str) -> None:
    predict, tau = PREDICTORS[kind](), some_thresholds(9)
    with torch.no_grad():
        together = predict(tau).mix
        alone = torch.cat([predict(tau[b : b + 3]).mix for b in (0, 3, 6)])
    assert torch.allclose(together, alone, atol=1e-12)


@any_predictor
def test_the_final_threshold_may_be_given(kind: str) -> None:
    predict, tau = PREDICTORS[kind](), some_thresholds(5)
    with torch.no_grad():
        full = predict(torch.cat([tau, torch.zeros(5, 1)], dim=1))
        assert torch.equal(full.mix, predict(tau).mix)


def test_the_order_of_samples_means_nothing() -> None:
    network, samples, tau = few_shot_net(), few_samples(), some_thresholds(5)[None]
    turned = type(samples)(*(values.flip(1) for values in samples))
    with torch.no_grad():
        assert torch.allclose(network(tau, samples).mix, network(tau, turned).mix, atol=1e-12)
