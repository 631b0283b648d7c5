"""The vectorised layout against loops over deployments, chains and steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datagen.evaluation import DeploymentBatch, pack
from surrogate.features.arrays import FlowArrays, flow_arrays
from tests.surrogate.cases import close, random_deployments


@pytest.fixture(scope="module", params=[1, 3], ids=["one path", "three paths"])
def batch(request: pytest.FixtureRequest) -> DeploymentBatch:
    return pack(random_deployments(12, seed=5, paths=request.param))


@pytest.fixture(scope="module")
def arrays(batch: DeploymentBatch) -> FlowArrays:
    return flow_arrays(batch)


def flows(batch: DeploymentBatch) -> list[range]:
    """Step rows of each path, longest first, ties in the order of the batch."""
    starts = batch.step_start.tolist()
    rows = [range(a, b) for a, b in zip(starts, starts[1:], strict=False)]
    return sorted(rows, key=len, reverse=True)


def path_owners(batch: DeploymentBatch) -> list[tuple[int, int]]:
    """(deployment, chain row) of each path."""
    found = []
    for deployment in range(len(batch)):
        for chain in range(batch.chain_start[deployment], batch.chain_start[deployment + 1]):
            found += [(deployment, chain)] * int(batch.counts("path")[chain])
    return found


def test_lays_steps_out_position_by_position(batch: DeploymentBatch, arrays: FlowArrays) -> None:
    paths = flows(batch)
    expected = [
        (row[position], flow, position)
        for position in range(len(paths[0]))
        for flow, row in enumerate(paths)
        if position < len(row)
    ]
    columns = (arrays.step_row, arrays.step_flow, arrays.step_position)
    found = list(zip(*(column.tolist() for column in columns), strict=True))
    assert found == expected
    sizes = [sum(len(row) > position for row in paths) for position in range(len(paths[0]))]
    assert arrays.flow_sizes.tolist() == sizes
    assert arrays.flow_length.tolist() == [len(row) for row in paths]


def test_lengths_differ_and_devices_are_revisited(batch: DeploymentBatch) -> None:
    lengths = {len(row) for row in flows(batch)}
    assert len(lengths) > 3
    hosts = [batch.step_device[row.start : row.stop].tolist() for row in flows(batch)]
    assert any(len(set(visited)) < len(visited) for visited in hosts)


def test_names_the_step_before(arrays: FlowArrays) -> None:
    where = {
        (flow, position): place
        for place, (flow, position) in enumerate(
            zip(arrays.step_flow.tolist(), arrays.step_position.tolist(), strict=True)
        )
    }
    for (flow, position), place in where.items():
        before = where[flow, position - 1] if position else place
        assert arrays.step_previous[place] == before


def test_gathers_the_batch(batch: DeploymentBatch, arrays: FlowArrays) -> None:
    row = arrays.step_row.numpy()
    starts = batch.step_start.tolist()
    order = [starts.index(path.start) for path in flows(batch)]
    owners = [path_owners(batch)[path] for path in order]
    deployment = [owner[0] for owner in owners]
    chain = np.array([owner[1] for owner in owners])
    assert arrays.deployments == len(batch)
    assert arrays.flow_chain.tolist() == chain.tolist()
    assert arrays.chain_deployment[arrays.flow_chain].tolist() == deployment
    for place, flow in enumerate(arrays.step_flow.tolist()):
        device = batch.device_start[deployment[flow]] + batch.step_device[row[place]]
        assert arrays.step_device[place] == device
        assert arrays.device_deployment[device] == deployment[flow]
    share = batch.path_probability[order]
    close(arrays.flow_probability, share)
    close(arrays.flow_rate, batch.chain_rate[chain] * share)
    for name in ("step_mean", "step_scv", "step_demand"):
        close(getattr(arrays, name), getattr(batch, name)[row])
    for name in ("chain_scv", "device_capacity", "device_servers"):
        close(getattr(arrays, name), getattr(batch, name))


def test_multiplies_over_earlier_steps(arrays: FlowArrays) -> None:
    factor = torch.rand(len(arrays.step_row), generator=torch.Generator().manual_seed(1))
    product = arrays.running_product(factor)
    for place, (flow, position) in enumerate(
        zip(arrays.step_flow.tolist(), arrays.step_position.tolist(), strict=True)
    ):
        earlier = (arrays.step_flow == flow) & (arrays.step_position < position)
        close(product[place], factor[earlier].prod())


def test_adds_up(arrays: FlowArrays) -> None:
    values = torch.rand(len(arrays.step_row), 2, generator=torch.Generator().manual_seed(2))
    by_device = arrays.sum_to_devices(values)
    for device in range(arrays.devices):
        close(by_device[device], values[arrays.step_device == device].sum(dim=0))
    by_flow = arrays.sum_to_flows(values[:, 0])
    for flow in range(len(arrays.flow_chain)):
        close(by_flow[flow], values[arrays.step_flow == flow, 0].sum())


def test_moves_between_devices(arrays: FlowArrays) -> None:
    moved = arrays.to("meta")
    assert moved.step_mean.device.type == "meta"
    assert moved.flow_sizes.device.type == "cpu"
    assert moved.deployments == arrays.deployments


def test_needs_no_laws() -> None:
    deployment = random_deployments(1)
    whole = pack(deployment)
    chosen = {name: getattr(flow_arrays(whole), name) for name in ("step_mean", "flow_rate")}
    bare = DeploymentBatch(**{
        name: value
        for name, value in vars(whole).items()
        if name in DeploymentBatch.__dataclass_fields__
        and not name.startswith(("fragment", "law", "arrival", "chain_arrivals"))
    })
    for name, value in chosen.items():
        close(getattr(flow_arrays(bare), name), value)
