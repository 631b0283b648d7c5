"""Thresholds and routing to loss: what evaluators of the expansion say, with right gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.deployment import Deployment
from datagen.errors import InvalidInputError
from datagen.evaluation import ExpandedEvaluator
from datagen.exits import ExitTrace
from surrogate.exit_model import TraceExits
from surrogate.loss_predictor import LossPredictor
from surrogate.models import ChainNet
from surrogate.optimizers.threshold_search import asking
from surrogate.optimizers.threshold_space import ThresholdSpace
from tests.surrogate.exit_cases import edges, gateway, small_trace


def predictor(
    deployment: Deployment, network: ChainNet | None = None, **how: bool
) -> LossPredictor:
    return LossPredictor(deployment, {"camera": TraceExits(small_trace(), **how)}, network)  # type: ignore[arg-type]


@pytest.mark.parametrize("build", [gateway, edges])
def test_values_are_those_of_the_expansion(build: object) -> None:
    deployment: Deployment = build()  # type: ignore[operator]
    space, rng = ThresholdSpace(deployment), np.random.default_rng(2)
    levels = np.concatenate([rng.uniform(size=(12, 3)), [[1.0, 1.0, 1.0], [0.0, 1.0, 0.3]]])
    routing = np.concatenate([rng.dirichlet(np.ones(n), size=len(levels)) for n in space.paths], 1)
    accuracy, loss = asking(ExpandedEvaluator(AnalyticEvaluator()), space)(levels, routing)
    with torch.no_grad():
        found = predictor(deployment)(
            torch.tensor(levels, dtype=torch.float32), torch.tensor(routing, dtype=torch.float32)
        )
    assert found.accuracy_offered.numpy() == pytest.approx(accuracy, abs=2e-3)
    # The evaluator's fixed point settles further than the features' fixed number of rounds.
    assert found.loss_ratio.numpy() == pytest.approx(loss, rel=0.05, abs=2e-4)
    assert found.mix.sum(dim=1).numpy() == pytest.approx(np.ones(len(levels)), abs=1e-5)


def test_gradients_end_to_end() -> None:
    torch.manual_seed(0)
    network = ChainNet(hidden=8, iterations=1)
    torch.nn.init.normal_(network.head[2].weight, std=0.1)  # type: ignore[arg-type]
    model = predictor(edges(), network, straight_through=False).double()
    levels = torch.tensor([[0.4, 0.6, 0.7]], dtype=torch.float64, requires_grad=True)
    routing = torch.tensor([[0.35, 0.65]], dtype=torch.float64, requires_grad=True)

    def both(levels: torch.Tensor, routing: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = model(levels, routing)
        return found.loss_ratio, found.accuracy_offered

    assert torch.autograd.gradcheck(both, (levels, routing), eps=1e-6, atol=1e-6, rtol=1e-3)
    loss, _ = both(levels, routing)
    loss.sum().backward()
    assert levels.grad is not None
    assert (levels.grad.abs() > 0).all()


def test_another_number_of_exits_is_refused() -> None:
    trace = ExitTrace(name="t", confidences=[[0.5, 1.0]], correct=[[1, 1]])  # type: ignore[arg-type]
    model = TraceExits(trace)
    with pytest.raises(InvalidInputError, match=r"exits\.camera must have 4 exits"):
        LossPredictor(gateway(), {"camera": model}, None)
