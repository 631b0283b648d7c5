"""The plain graph of the baselines says who runs where, and who comes after whom."""

from __future__ import annotations

from typing import Any

import pytest

from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from surrogate.features.arrays import flow_arrays
from surrogate.models import GAT, GIN
from surrogate.models.message_passing import EDGE_KINDS, plain_graph
from tests.surrogate.cases import random_deployments, single


def test_edges_of_a_chain() -> None:
    # Steps 0, 1, 2 on devices 3, 4 and 3 again; node 5 is the flow.
    arrays = flow_arrays(pack([single(means=[0.1, 0.2, 0.3], hosts=[0, 1, 0])]))
    edges, kinds = plain_graph(arrays)
    found = {
        name: {tuple(pair) for pair in edges[:, kinds[:, number] == 1].T.tolist()}
        for number, name in enumerate(EDGE_KINDS)
    }
    assert found == {
        "step to its device": {(0, 3), (1, 4), (2, 3)},
        "device to its step": {(3, 0), (4, 1), (3, 2)},
        "step to the next of its flow": {(0, 1), (1, 2)},
        "step to the one before": {(1, 0), (2, 1)},
        "step to its flow": {(0, 5), (1, 5), (2, 5)},
        "flow to its step": {(5, 0), (5, 1), (5, 2)},
    }
    assert (kinds.sum(dim=-1) == 1).all()


def test_edges_stay_inside_deployments() -> None:
    arrays = flow_arrays(pack(random_deployments(8, seed=4, paths=2)))
    of_flow = arrays.chain_deployment[arrays.flow_chain]
    owner = [*of_flow[arrays.step_flow], *arrays.device_deployment, *of_flow]
    edges, _ = plain_graph(arrays)
    assert len(owner) > int(edges.max())
    assert all(owner[source] == owner[target] for source, target in edges.T.tolist())


@pytest.mark.parametrize("network", [GAT, GIN])
@pytest.mark.parametrize(
    ("settings", "field"), [({"layers": 0}, "layers"), ({"hidden": 3}, "hidden")]
)
def test_refuses_settings_by_name(network: Any, settings: dict[str, int], field: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{field} must .*, got {field}="):
        network(**settings)
