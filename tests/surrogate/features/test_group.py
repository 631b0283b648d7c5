"""Feature groups: columns for models that ask for them, and nothing new for those that do not."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from datagen.deployment import Deployment
from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from surrogate.coverage import Coverage
from surrogate.features.arrays import FlowArrays, flow_arrays
from surrogate.features.features import PLAIN_FEATURES, FeatureFunction
from surrogate.features.group import Columns, FeatureGroup, FeatureNames, packed
from surrogate.features.groups import GROUPS, feature_groups
from surrogate.features.prior import Prior
from surrogate.models import ChainNet
from tests.surrogate.cases import close, random_deployments


class Doubled(FeatureGroup):
    """Takes every service to be twice as long, every wait three times."""

    names = FeatureNames(step=("weights",), device=("doubled load",), flow=())

    def adapted(self, arrays: FlowArrays) -> FlowArrays:
        return replace(arrays, step_mean=2.0 * arrays.step_mean)

    def refined(self, arrays: FlowArrays, prior: Prior) -> Prior:
        return replace(prior, step_wait=3.0 * prior.step_wait)

    def columns(self, arrays: FlowArrays, prior: Prior) -> Columns:
        weights = torch.from_numpy(packed(arrays).step_demand[arrays.step_row.numpy()].copy())
        none = arrays.flow_rate.new_zeros(len(arrays.flow_rate), 0)
        return weights.float()[:, None], prior.load[:, None], none


class Unbounded(Doubled):
    """Knows no bound of any wait."""

    def refined(self, arrays: FlowArrays, prior: Prior) -> Prior:
        return replace(prior, unbounded=torch.ones(arrays.devices, dtype=torch.bool))


@pytest.fixture
def deployments(monkeypatch: pytest.MonkeyPatch) -> list[Deployment]:
    monkeypatch.setitem(GROUPS, "doubled", Doubled)
    monkeypatch.setitem(GROUPS, "unbounded", Unbounded)
    return random_deployments(12, seed=61)


def test_columns_are_appended_and_the_prior_is_adapted(deployments: list[Deployment]) -> None:
    arrays = flow_arrays(pack(deployments))
    plain, more = FeatureFunction()(arrays), FeatureFunction([Doubled()])(arrays)
    assert more.names == PLAIN_FEATURES + Doubled.names
    for level in ("step", "device", "flow"):
        assert getattr(more, level).shape[1] == len(getattr(more.names, level))
    close(more.step[:, -1], arrays.step_demand)
    twice = FeatureFunction()(replace(arrays, step_mean=2.0 * arrays.step_mean))
    close(more.device[:, -1], twice.prior.load)
    close(more.prior.step_wait, 3.0 * twice.prior.step_wait)
    assert plain.names == PLAIN_FEATURES
    assert not torch.equal(plain.prior.load, more.prior.load)


def test_a_network_without_groups_is_as_it_was(deployments: list[Deployment]) -> None:
    assert ChainNet(hidden=4, iterations=1).settings == {"hidden": 4, "iterations": 1}
    asking = ChainNet(hidden=4, iterations=1, groups=["doubled"])
    assert asking.settings == {"hidden": 4, "groups": ["doubled"], "iterations": 1}
    assert ChainNet(**asking.settings).features.names == asking.features.names
    assert asking(flow_arrays(pack(deployments))).latency.isfinite().all()


def test_coverage_knows_the_columns(deployments: list[Deployment]) -> None:
    batch = pack(deployments)
    arrays = flow_arrays(batch)
    features = FeatureFunction([Doubled()])(arrays)
    coverage = Coverage.of(batch, arrays, features)
    assert coverage.reasons(arrays, features) == [None] * len(batch)
    again = Coverage.from_json(coverage.as_json(), features.names)
    assert len(again.near.mean) == len(coverage.near.mean)
    with pytest.raises(ValueError, match=r"ranges.step must have shape"):
        Coverage.from_json(coverage.as_json())
    strange = replace(features, step=features.step.clone())
    strange.step[0, -1] = 1e3
    assert any("weights" in str(reason) for reason in coverage.reasons(arrays, strange))


def test_a_wait_without_a_bound_may_grow_past_it(deployments: list[Deployment]) -> None:
    arrays = flow_arrays(pack(deployments))
    networks = [
        ChainNet(hidden=4, iterations=1, groups=[name]) for name in ("doubled", "unbounded")
    ]
    for network in networks:
        network.head[-1].bias.data.fill_(7.0)  # type: ignore[index, union-attr, operator]
    bounded, free = (network(arrays).step_sojourn for network in networks)
    limited = arrays.at_steps(arrays.device_capacity).isfinite()
    assert (free[limited] > 10.0 * bounded[limited]).any()


def test_groups_have_names() -> None:
    with pytest.raises(InvalidInputError, match=r"groups must be one of"):
        feature_groups(["nobody"])


def test_a_group_is_asked_for_once(deployments: list[Deployment]) -> None:
    with pytest.raises(InvalidInputError, match=r"groups must name each group once"):
        feature_groups(["doubled", "doubled"])


def test_arrays_made_elsewhere_have_no_packed_deployments(deployments: list[Deployment]) -> None:
    arrays = replace(flow_arrays(pack(deployments)), batch=None)
    with pytest.raises(ValueError, match=r"arrays.batch must be present"):
        packed(arrays)
