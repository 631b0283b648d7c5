"""The example with an accelerator: read, simulated from the command line, and sensible."""

from __future__ import annotations

from pathlib import Path

from datagen.commands.simulate import main
from datagen.documents import from_json, read_problem, to_json
from datagen.store import read_dataset


def test_the_example_is_simulated_from_its_file(repository: Path, tmp_path: Path) -> None:
    example = repository / "examples" / "accelerator.yaml"
    _, deployment = read_problem(example)
    assert deployment is not None
    assert from_json(to_json(deployment)) == deployment
    main([str(example), str(tmp_path / "out"), "--events", "2e5", "--seed", "1", "--json"])
    dataset = read_dataset(tmp_path / "out")
    stored, labels = dataset[0]
    measures = labels[0]
    assert stored == deployment
    npu = measures.devices["npu"]
    assert 0.5 < npu.utilization < 0.95
    assert 1.0 < npu.batch < 4.0
    assert npu.preemptions > 0.0
    assert measures.chains["entrance"].attainment > 0.7
    batch = dataset.batch([0])
    assert batch.table_seconds is not None
    assert (batch.table_seconds > 0).all()
