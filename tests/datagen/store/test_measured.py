from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datagen.documents.plain import dump_yaml
from datagen.errors import InvalidInputError
from datagen.store import read_dataset
from datagen.store.measured import import_measured
from datagen.store.validate import validate_dataset
from tests.helpers import camera_document


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    document = camera_document()
    (tmp_path / "a.yaml").write_text(dump_yaml(document))
    document["placement"]["camera"] = ["zero", "pi"]
    (tmp_path / "b.yaml").write_text(dump_yaml(document))
    return tmp_path


def test_any_subset_of_labels_is_kept_and_the_rest_undefined(folder: Path) -> None:
    (folder / "runs.csv").write_text(
        "deployment, chain, device, latency, latency_se, loss_ratio, utilization, offered,"
        " completed\n"
        "b.yaml, camera, , 0.31, 0.02, , , 200, 150\n"
        "\n"
        "a.yaml, camera, , , , 0.125, , ,\n"
        "a.yaml, , zero, , , , 0.5, ,\n"
        "b.yaml, , , , , 0.25, , ,\n"
    )
    assert import_measured(folder / "runs.csv", folder / "out") == 2
    validate_dataset(folder / "out")
    dataset = read_dataset(folder / "out")
    assert dataset.manifest["labels"] == {"source": "measured", "level": None}
    (first, b), (second, a) = dataset[0], dataset[1]
    assert first.placement["camera"] == (("zero", "pi"),)
    assert second.placement["camera"] == (("pi", "zero"),)
    chain = b[0].chains["camera"]
    assert (chain.latency, chain.latency_se, chain.offered) == (0.31, 0.02, 200)
    assert (chain.throughput_ratio, chain.loss_ratio) == (0.75, 0.25)
    assert b[0].loss_ratio == 0.25
    chain = a[0].chains["camera"]
    assert (chain.loss_ratio, chain.throughput_ratio) == (0.125, 0.875)
    assert np.isnan(chain.latency)
    assert np.isnan(chain.p95)
    assert a[0].devices["zero"].utilization == 0.5
    assert np.isnan(a[0].devices["pi"].utilization)


def test_ratios_follow_from_throughput_and_latency(folder: Path) -> None:
    (folder / "runs.csv").write_text(
        "deployment,chain,throughput,latency\na.yaml,camera,1.5,0.51\nb.yaml,camera,99,\n"
    )
    import_measured(folder / "runs.csv", folder / "out")
    validate_dataset(folder / "out")
    dataset = read_dataset(folder / "out")
    chain, batch = dataset.measures().chain, dataset.batch()
    assert chain["throughput_ratio"][0] == 1.5 / batch.chain_rate[0]
    assert chain["loss_ratio"][0] == 1 - chain["throughput_ratio"][0]
    assert chain["throughput_ratio"][1] == 1
    services = batch.step_mean[: batch.step_start[1]].sum()
    np.testing.assert_allclose(chain["latency_ratio"], [services / 0.51, np.nan], rtol=1e-12)


@pytest.mark.parametrize("linked", [False, True])
def test_an_unloaded_latency_with_links_is_not_the_sum_of_services(
    folder: Path, linked: bool
) -> None:
    document = camera_document()
    if linked:
        ends = {"source": "pi", "target": "zero"}
        document["links"] = [ends | {"bandwidth": 1e6, "latency": 0.01}]
    (folder / "c.yaml").write_text(dump_yaml(document))
    (folder / "runs.csv").write_text("deployment,chain,latency\nc.yaml,camera,0.5\n")
    import_measured(folder / "runs.csv", folder / "out")
    ratio = read_dataset(folder / "out").measures().chain["latency_ratio"]
    assert np.isnan(ratio).all() == linked


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1 must name a column deployment"),
        ("chain,latency\n", "line 1 must name a column deployment"),
        ("deployment,chain,lateness\n", "line 1 must name known measures, got .*'lateness'"),
        ("deployment,chain,latency,latency\n", "line 1 must name each once"),
        ("deployment,chain,latency\n", "must hold at least one line of labels"),
        ("deployment,chain,latency\na.yaml,camera\n", "line 2 must hold 3 cells, got .*=2"),
        ("deployment,chain,latency\na.yaml,phone,1\n", "line 2: chain must be a name in its depl"),
        ("deployment,chain,latency\na.yaml,camera,fast\n", "line 2: latency must be a number or"),
        ("deployment,chain,latency\na.yaml,camera,-1\n", "line 2: latency must be finite and >= 0"),
        ("deployment,chain,latency\na.yaml,camera,nan\n", "line 2: latency must be finite"),
        ("deployment,chain,loss_ratio\na.yaml,camera,1.5\n", r"loss_ratio must lie in \[0, 1\]"),
        ("deployment,chain,utilization\na.yaml,camera,0.5\n", "be a measure of a chain"),
        ("deployment,chain,latency\nc.yaml,camera,1\n", "line 2: c.yaml"),
        ("deployment,chain,latency\n,camera,1\n", "line 2 must name its deployment"),
        ("deployment,chain,device,jobs\na.yaml,camera,pi,1\n", "name a chain or a device, not bo"),
        (
            "deployment,chain,latency\na.yaml,camera,1\na.yaml,camera,2\n",
            "line 3 must say something not said before",
        ),
    ],
)
def test_bad_lines_are_named(folder: Path, text: str, message: str) -> None:
    (folder / "runs.csv").write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        import_measured(folder / "runs.csv", folder / "out")
    assert not (folder / "out").exists()
