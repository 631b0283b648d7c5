"""Accelerators in documents: files, inline tables, networks, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from datagen.documents import document_of, from_json, read_problem, to_json
from datagen.documents.deployments import deployment_from_document
from datagen.errors import InvalidInputError

ROWS = [[0.002, 0.003], [0.001, 0.0015]]
CSV = "segment,batch,seconds\n0,1,0.002\n0,2,0.003\n1,1,0.001\n1,2,0.0015\n"


def document(npu: dict[str, Any], batching: dict[str, Any] | None = None) -> dict[str, Any]:
    """A camera whose network runs on an accelerator."""
    constant = {"law": "deterministic", "mean": 0.1}
    return {
        "devices": [{"name": "npu0", "capacity": 16, "npu": npu}],
        "chains": [
            {
                "name": "camera",
                "model": "detector",
                "arrivals": {"law": "poisson", "rate": 100.0},
                "fragments": [
                    {"name": "early", "service": constant, "exit": {}},
                    {"name": "late", "service": constant},
                ],
            }
        ],
        "placement": {"camera": ["npu0", "npu0"]},
        "exits": {"camera": {"mix": [0.5, 0.5]}},
        "batching": {"npu0": batching or {"policy": "dynamic", "max_batch": 2}},
    }


@pytest.mark.parametrize(
    "npu",
    [
        {"table": {"seconds": ROWS}},
        {"table": {"detector": {"seconds": ROWS}, "other": {"seconds": ROWS[:1]}}},
        {"table": {"seconds": {"seconds": ROWS}, "detector": {"seconds": ROWS}}},
        {"network": "resnet50"},
        {"network": {"detector": "mobilenetv2"}, "array": "wide", "variant": "fluid+stackable"},
    ],
)
def test_accelerators_come_back_as_they_were_written(npu: dict[str, Any]) -> None:
    options = {"policy": "exit_aware", "max_batch": 2, "timeout": 0.01, "survivors": "expected"}
    given = document(npu, options)
    deployment = deployment_from_document(given)
    assert document_of(deployment)["devices"] == given["devices"]
    assert document_of(deployment)["batching"] == given["batching"]
    assert from_json(to_json(deployment)) == deployment
    assert hash(from_json(to_json(deployment))) == hash(deployment)


@pytest.mark.parametrize("npu", [{"table": "npu.csv"}, {"table": {"detector": "npu.csv"}}])
def test_a_table_may_stand_in_a_file(tmp_path: Path, npu: dict[str, Any]) -> None:
    (tmp_path / "npu.csv").write_text(CSV)
    (tmp_path / "npu.yaml").write_text(json.dumps(document(npu)))
    _, read = read_problem(tmp_path / "npu.yaml")
    assert read is not None
    table = read.problem.devices[0].npu
    assert table is not None
    assert table.times("detector", (True, False), 2).seconds.tolist() == ROWS


@pytest.mark.parametrize(
    ("npu", "message"),
    [
        ({"table": "npu.csv"}, r"devices\[0\].npu.table must not be used in a document that is no"),
        ({"table": {"seconds": [[1.0], [1.0, 2.0]]}}, "table.seconds must have rows of one length"),
        ({"table": {"seconds": [[2.0, 1.0], [1.0, 1.0]]}}, "table.seconds must not fall with the"),
        ({"table": {"m": {"seconds": ROWS, "unit": "s"}}}, r"npu.table.m.unit must be one of"),
        ({"network": "alexnet"}, r"devices\[0\].npu.network must be one of"),
        ({"network": "resnet50", "tiles": 3}, r"devices\[0\].npu.tiles must be one of"),
        (
            {"table": {"detector": {"seconds": ROWS[:1]}}},
            "camera.early.allowed must leave a device",
        ),
    ],
)
def test_what_is_wrong_is_named(npu: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        deployment_from_document(document(npu))


def test_what_is_wrong_with_a_policy_is_named() -> None:
    with pytest.raises(InvalidInputError, match="batching.npu0.timeout must be 0 with static"):
        deployment_from_document(
            document({"network": "resnet50"}, {"policy": "static", "max_batch": 2, "timeout": 1.0})
        )
