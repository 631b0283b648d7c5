"""Which times an accelerator knows, and where a deployment may use it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from datagen.deployment import BatchConfig, Deployment, Device, Npu
from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from datagen.npu import BatchTable, network, processing_array, segment_seconds
from tests.datagen.simulator.accelerated import one_accelerator

TABLE = BatchTable(seconds=np.array([[1.0, 1.5], [2.0, 2.0]]))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "npu must have either a table or a network"),
        ({"table": TABLE, "network": "resnet50"}, "npu must have either"),
        ({"network": "resnet"}, "network must be one of resnet50"),
        ({"network": {}}, "network must name at least one model"),
        ({"network": "resnet50", "array": "huge"}, "array must be one of fluid"),
        ({"network": "resnet50", "variant": "solid"}, "variant must be one of fixed"),
        ({"table": TABLE, "variant": "fluid"}, "variant must go with a network, got variant='flu"),
    ],
)
def test_accelerators_refuse_what_has_no_meaning(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Npu(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"speed": 2.0}, "speed must be 1.0 with an accelerator"),
        ({"servers": 2}, "servers must be 1 with an accelerator"),
        ({"discipline": "priority"}, "discipline must be fcfs with an accelerator"),
    ],
)
def test_a_device_with_an_accelerator_is_nothing_else(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Device(name="npu", npu=Npu(table=TABLE), **fields)


def test_tables_are_looked_up_by_model() -> None:
    npu = Npu(table={"m": TABLE})
    assert npu.covers("m", 2)
    assert not npu.covers("m", 3)
    assert not npu.covers("other", 2)
    assert npu.longest_batch("m") == 2
    assert npu.times("m", (True, False), 1).seconds.tolist() == [[1.0], [2.0]]
    assert Npu(table=TABLE).covers("whatever", 2)


def test_a_network_is_cut_into_fragments() -> None:
    npu = Npu(network={"m": "resnet50"}, array="wide", variant="fluid")
    assert npu.covers("m", 4)
    assert not npu.covers("other", 4)
    assert npu.longest_batch("m") is None
    exits = npu.times("m", (True, True, True, False), 8)
    resnet = network("resnet50")
    expected = segment_seconds(resnet, 4, processing_array("wide"), "fluid", 8)
    np.testing.assert_array_equal(exits.seconds, expected)
    fewer = npu.times("m", (True, False, True, False), 8).seconds
    assert (fewer[1] < expected[1]).all(), "no classifier stands there"
    np.testing.assert_array_equal(np.delete(fewer, 1, axis=0), np.delete(expected, 1, axis=0))


def refused(deployment: Deployment, message: str, **changes: Any) -> None:
    """Check that a changed deployment is refused."""
    with pytest.raises(InvalidInputError, match=message):
        replace(deployment, **changes)


def test_deployments_use_accelerators_within_their_tables() -> None:
    base = one_accelerator(TABLE.seconds, BatchConfig(policy="dynamic", max_batch=2), chains=2)
    first, second = base.problem.chains
    refused(
        base,
        "batching.npu.max_batch must be <= 2, the largest batch in the table of m, got",
        batching={"npu": BatchConfig(policy="dynamic", max_batch=3)},
    )
    plain = (base.problem.devices[0], Device(name="cpu"))
    refused(
        base,
        "batching.cpu must be given for accelerators only",
        problem=replace(base.problem, devices=plain),
        batching={"cpu": BatchConfig()},
    )
    longer = replace(second, fragments=(*second.fragments, replace(second.fragments[0], name="x")))
    with pytest.raises(InvalidInputError, match="allowed must leave a device"):
        replace(base.problem, chains=(first, longer))
    bare = replace(second, fragments=tuple(replace(f, exit=None) for f in second.fragments))
    refused(
        base,
        "c1.fragments must have classifiers where the other chains of model m do",
        problem=replace(base.problem, chains=(first, bare)),
    )


def test_packed_steps_carry_the_times_of_their_batches() -> None:
    seconds = np.array([[1.0, 1.5, 1.75], [2.0, 2.0, 4.0]])
    config = BatchConfig(policy="exit_aware", max_batch=2, timeout=0.5, survivors="expected")
    batch = pack([one_accelerator(seconds, config, mix=(0.25, 0.75))])
    assert batch.table_start is not None
    assert batch.table_seconds is not None
    assert batch.batching_parameter is not None
    assert batch.table_start.tolist() == [0, 2, 4]
    assert batch.table_seconds.tolist() == [1.0, 1.5, 2.0, 2.0]
    assert batch.batching_parameter.tolist() == [5.0, 2.0, 0.5, 0.0, 1.0]
    assert batch.step_mean.tolist() == [1.0, 2.0]
    assert batch.step_reached.tolist() == [1.0, 0.75]
    assert batch.chain_model.tolist() == [0]
