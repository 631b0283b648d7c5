"""Laws of latency: ordered quantiles, mixtures of paths, deadlines, and their gradients."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from surrogate.models.latency_law import (
    LEVELS,
    SCORES,
    LatencyLaw,
    flow_log_quantiles,
    growth_below,
)
from tests.surrogate.cases import close

CHAIN_OF_FLOW = torch.tensor([0, 0, 1, 2, 2, 2])
COMPLETED = torch.tensor([0.3, 0.5, 0.9, 0.2, 0.2, 0.3], dtype=torch.float64)


def lognormal(median: float, sigma: float) -> Tensor:
    """Logarithms of the quantiles of a lognormal law."""
    return math.log(median) + sigma * torch.tensor([SCORES], dtype=torch.float64)


def law(log_quantile: Tensor, completed: Tensor, chain: Tensor, least: float = 0.0) -> LatencyLaw:
    flows = len(log_quantile)
    log_least = torch.full((flows,), math.log(least) if least else -math.inf)
    return LatencyLaw(
        log_quantile=log_quantile,
        log_least=log_least.double(),
        completed=completed,
        chain=chain,
        chains=int(chain.max()) + 1,
    )


def scattered(seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 2.0 * torch.randn(6, 3, generator=generator, dtype=torch.float64)


def mixed(correction: Tensor, completed: Tensor = COMPLETED) -> LatencyLaw:
    means = torch.tensor([0.0, 0.5, 1.0, 2.0, 0.3, 0.1], dtype=torch.float64)
    quantiles = flow_log_quantiles(correction, means, torch.full_like(means, -5.0))
    return law(quantiles, completed, CHAIN_OF_FLOW)


@pytest.mark.parametrize("size", [0.0, 3.0, 1e3])
def test_quantiles_are_ordered_and_obey_markov(size: float) -> None:
    log_mean, log_least = torch.zeros(64), torch.full((64,), -0.5)
    correction = size * torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
    found = flow_log_quantiles(correction, log_mean, log_least)
    assert (found.diff(dim=-1) >= 0).all()
    assert (found >= -0.5).all()
    highest = -torch.log1p(-torch.tensor(LEVELS))
    assert (found <= highest + 1e-5).all()


def test_no_correction_puts_the_median_at_the_mean() -> None:
    log_mean = torch.tensor([0.7])
    found = flow_log_quantiles(torch.zeros(1, 3), log_mean, torch.tensor([-9.0]))
    close(found[:, 0], log_mean)


def test_a_lognormal_law_meets_deadlines_as_often_as_it_should() -> None:
    one = law(lognormal(2.0, 0.4), torch.tensor([0.8]).double(), torch.tensor([0]))
    for deadline in (1.0, 2.0, 3.5, 9.0):
        expected = 0.8 * NormalDist(math.log(2.0), 0.4).cdf(math.log(deadline))
        found = one.attainment(torch.tensor([deadline]).double())
        assert found.item() == pytest.approx(expected, abs=1e-6)


def test_nobody_is_faster_than_constant_services_allow() -> None:
    one = law(lognormal(2.0, 0.4), torch.ones(1).double(), torch.tensor([0]), least=1.9)
    assert one.attainment(torch.tensor([1.8]).double()).item() == 0.0
    assert one.attainment(torch.tensor([1.95]).double()).item() > 0.4


def test_chains_without_a_deadline_have_no_attainment() -> None:
    found = mixed(scattered()).attainment(torch.tensor([1.0, math.nan, 2.0]).double())
    assert found.isnan().tolist() == [False, True, False]


@pytest.mark.parametrize("seed", range(4))
def test_a_mixture_has_the_level_below_its_quantile(seed: int) -> None:
    some = mixed(scattered(seed))
    quantiles = some.log_quantiles
    total = torch.zeros(3).double().scatter_add(0, CHAIN_OF_FLOW, COMPLETED)
    for index, level in enumerate(LEVELS):
        close(
            some.attainment(quantiles[:, index].exp()) / total, torch.full((3,), level), atol=1e-6
        )


def test_flows_that_are_alike_mix_to_themselves() -> None:
    quantiles = lognormal(2.0, 0.4)
    both = law(
        quantiles.expand(2, 3), torch.tensor([0.7, 0.1]).double(), torch.zeros(2, dtype=torch.int64)
    )
    close(both.log_quantiles, quantiles)


def test_gradients_of_quantiles_and_deadlines_are_their_slopes() -> None:
    correction, completed = scattered().requires_grad_(), COMPLETED.clone().requires_grad_()
    deadline = torch.tensor([1.0, 2.0, 4.0]).double()
    for function in (lambda some: some.log_quantiles, lambda some: some.attainment(deadline)):
        assert torch.autograd.gradcheck(
            lambda first, second, of=function: of(mixed(first, second)), (correction, completed)
        )


def test_quick_jobs_may_scatter_in_their_own_way() -> None:
    one = law(lognormal(2.0, 0.4), torch.ones(1).double(), torch.tensor([0]))
    wide = replace(one, below=torch.tensor([0.9]).double())
    early, late = torch.tensor([1.0]).double(), torch.tensor([3.0]).double()
    expected = NormalDist(math.log(2.0), 0.9).cdf(0.0)
    assert wide.attainment(early).item() == pytest.approx(expected, abs=1e-6)
    assert wide.attainment(late).item() == one.attainment(late).item()
    assert torch.equal(wide.log_quantiles, one.log_quantiles)


def test_a_fourth_number_tells_of_quick_jobs() -> None:
    correction = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))
    below = growth_below(correction)
    assert below is not None
    assert (below > 0).all()
    assert growth_below(correction[:, :3]) is None
    args = torch.zeros(5), torch.full((5,), -9.0)
    assert torch.equal(
        flow_log_quantiles(correction, *args), flow_log_quantiles(correction[:, :3], *args)
    )


def test_chains_that_complete_next_to_nothing_have_finite_gradients() -> None:
    correction = scattered(4).requires_grad_()
    rare = torch.tensor([1e-300, 0.0, 0.9, 0.2, 0.2, 0.3], dtype=torch.float64)
    mixed(correction, rare).log_quantiles.sum().backward()
    assert correction.grad is not None
    assert correction.grad.isfinite().all()
