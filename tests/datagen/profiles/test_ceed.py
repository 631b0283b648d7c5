from __future__ import annotations

import copy
import json
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest

from datagen.__main__ import main
from datagen.documents import read_deployment
from datagen.errors import InvalidInputError
from datagen.profiles import CeedProfile, import_ceed, read_ceed
from datagen.profiles.residual import classifier_parameters, layer_parameters
from datagen.simulator import simulate

# The digest's table of the published profile: per layer mean [ms] and output [B].
MEANS = (
    *(2.054, 0.472, 0.185, 0.041, 30.762, 25.752, 26.723, 34.934, 19.528, 18.816),
    *(18.852, 75.791, 22.622, 20.958, 22.041, 23.544, 32.479, 272.310, 84.894, 76.520),
)
DEVIATIONS = (
    *(5.235, 0.212, 0.236, 0.257, 7.473, 7.425, 9.506, 12.753, 5.508, 4.054),
    *(4.574, 11.904, 12.659, 12.970, 19.573, 23.866, 38.951, 20.476, 31.967, 20.066),
)
OUTPUTS = (*[262_891] * 4, *[1_049_323] * 3, *[525_035] * 4, *[262_891] * 6, *[131_819] * 3)
GATES = (3, 5, 7, 9, 11, 13, 15, 17, 19)
HEADS = (0.6855, 1.1551, 0.8353, 0.7925, 0.7488, 0.8389, 0.9899, 1.0123, 0.8068)
MEASURED = (2.831, 59.468, 115.707, 155.538, 258.337, 302.642, 343.417, 650.426, 804.890)
ALL_HEADS = (3.438, 61.107, 123.600, 162.737, 258.129, 302.548, 349.123, 654.925, 817.146)
SEGMENTS = (2.752, 56.514, 61.657, 38.345, 94.644, 43.580, 45.585, 304.790, 161.413)
BLOCKS = (
    *(75_008, 70_400, 70_400, 379_392, 280_064, 280_064, 280_064, 1_512_448),
    *([1_117_184] * 5),
    *(6_039_552, 4_462_592, 4_462_592),
)
CLASSIFIERS = (650, 2_570, 5_130, 5_130, 10_250, 10_250, 10_250, 20_490, 20_490)
MEMORY = 94_665_953


@pytest.fixture
def files(public_data: Path) -> tuple[Path, Path]:
    """The published pair of profiles."""
    folder = public_data / "ceed"
    if not folder.is_dir():
        pytest.skip("public data are absent: there is no folder ceed")
    return folder / "model_profile.json", folder / "system_profile.json"


def milliseconds(values: Any) -> list[float]:
    return [1e3 * value for value in values]


def test_layers_gates_and_sizes_are_those_of_the_table(files: tuple[Path, Path]) -> None:
    profile = read_ceed(*files)
    assert milliseconds(t.mean for t in profile.times) == pytest.approx(MEANS, abs=6e-4)
    deviations = milliseconds(t.variance**0.5 for t in profile.times)
    assert deviations == pytest.approx(DEVIATIONS, abs=6e-4)
    assert profile.output == OUTPUTS
    assert profile.gates == GATES
    assert milliseconds(h.mean for h in profile.heads) == pytest.approx(HEADS, abs=6e-5)
    assert milliseconds(m.mean for m in profile.measured) == pytest.approx(MEASURED, abs=6e-4)
    assert profile.accuracy is None


def test_memory_is_split_by_parameters(files: tuple[Path, Path]) -> None:
    profile = read_ceed(*files)
    kinds = ["ResNetConv1", "BatchNorm2d", "ReLU", "ResNetMaxPool1", *["ResidualBottleneck"] * 16]
    numbers = [(size - 747) / 4 for size in OUTPUTS]
    parameters, channels = layer_parameters(kinds, numbers, (3, 32, 32))
    assert parameters == [1728, 128, 0, 0, *BLOCKS]
    assert [classifier_parameters(channels[gate], 10) for gate in GATES] == list(CLASSIFIERS)
    # Four bytes each are the whole model, up to buffers and what the serialization adds.
    count = sum(parameters) + sum(CLASSIFIERS)
    assert 4 * count == pytest.approx(MEMORY, rel=4e-3)
    assert profile.weights[17] == pytest.approx(
        MEMORY * (BLOCKS[13] + CLASSIFIERS[7]) / count, 1e-6
    )
    assert MEMORY - 20 <= sum(profile.weights) <= MEMORY


def test_fragments_are_the_segments_of_the_table(files: tuple[Path, Path]) -> None:
    fragments = read_ceed(*files).fragments()
    assert len(fragments) == 9
    means = milliseconds(f.service.mean for f in fragments)  # type: ignore[union-attr]
    means[-1] -= HEADS[-1]  # the final classifier is a part of the last fragment
    assert means == pytest.approx(SEGMENTS, abs=1e-3)
    assert [f.output for f in fragments] == [*(OUTPUTS[gate] for gate in GATES[:-1]), 0.0]
    heads = [f.exit.head.mean for f in fragments[:-1] if f.exit is not None]
    assert milliseconds(heads) == pytest.approx(HEADS[:-1], abs=6e-5)
    assert fragments[-1].exit is None
    totals = [
        work + head for work, head in zip(accumulate(SEGMENTS), accumulate(HEADS), strict=True)
    ]
    assert totals == pytest.approx(ALL_HEADS, abs=2e-3)
    scv = fragments[3].service.scv  # type: ignore[union-attr]
    assert scv == pytest.approx((5.508**2 + 4.054**2) / 38.345**2, rel=1e-3)
    by_layer = read_ceed(*files).fragments(by_layer=True)
    assert len(by_layer) == 20
    assert [k for k, f in enumerate(by_layer) if f.exit is not None] == list(GATES[:-1])
    assert sum(f.weights for f in by_layer) == sum(f.weights for f in fragments)


def test_the_document_loads_and_simulates(files: tuple[Path, Path], tmp_path: Path) -> None:
    mix = [0.3, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05]
    out = tmp_path / "ceed.yaml"
    written = import_ceed(*files, out, rate=0.05, mix=mix)
    deployment = read_deployment(out)
    assert deployment == written
    measures = simulate([deployment], horizon=2e5, replications=4, seed=0)
    # Hardly any job waits, so that latency is work: the mix of the table's rows with all heads.
    busy = 1e-3 * sum(p * time for p, time in zip(mix, ALL_HEADS, strict=True))
    assert measures.device["utilization"][0] == pytest.approx(0.05 * busy, rel=0.03)
    assert measures.chain["loss_ratio"][0] == 0.0
    assert busy < measures.chain["latency"][0] < 1.05 * busy


def record(mean: float) -> dict[str, float]:
    return {"mean": mean, "var": mean**2 / 4}


def small() -> tuple[dict[str, Any], dict[str, Any]]:
    """A network of four layers and two gates, in the same format."""
    names = ["layer_0_ResNetConv1_1", "layer_1_ReLU_1"]
    names += [f"layer_{place}_ResidualBottleneck_{place - 1}" for place in (2, 3)]
    sizes = [8 * 64, 8 * 64, 32 * 64, 64 * 16]
    model = {"num_classes": 5, "input_size": [3, 8, 8], "early_exits_gates": [1, 3]}
    system = {
        "memory": {"model": 1e5},
        "backbone_execution_time": {name: record(0.5) for name in names},
        "backbone_output_memory": {
            name: 4.0 * count + 747 for name, count in zip(names, sizes, strict=True)
        },
        "gate_execution_time": {
            f"gate_{gate}_layer_{layer}_{op}_1": record(0.25)
            for gate, layer in ((0, 1), (1, 3))
            for op in ("Pool", "Linear")
        },
        "execution_time_gate_0_layer_1": record(1.5),
        "execution_time_gate_1_layer_3": record(3.0),
    }
    return model, system


def written(folder: Path, model: Any, system: Any) -> tuple[Path, Path]:
    paths = folder / "model.json", folder / "system.json"
    for path, content in zip(paths, (model, system), strict=True):
        path.write_text(json.dumps(content))
    return paths


def read_small(folder: Path) -> CeedProfile:
    model, system = small()
    return read_ceed(*written(folder, model | {"accuracy": {"gate_0": 0.5, "gate_1": 0.9}}, system))


def test_any_network_of_the_family_is_read(tmp_path: Path) -> None:
    profile = read_small(tmp_path)
    first, last = profile.fragments()
    assert (first.service.mean, last.service.mean) == (1.0, 1.5)  # type: ignore[union-attr]
    # Two layers of 0.5 s and half of that as standard deviation, and two operations of a head.
    assert last.service.scv == pytest.approx(0.25 * (2 * 0.5**2 + 2 * 0.25**2) / 1.5**2)  # type: ignore[union-attr]
    exits = profile.deployment(rate=0.1).exits
    assert exits is not None
    assert exits["classify"].accuracy == (0.5, 0.9)  # type: ignore[union-attr]


def test_the_command_writes_a_document(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(path) for path in written(tmp_path, *small())]
    out = tmp_path / "out.yaml"
    words = ["import-ceed", *paths, str(out), "--rate", "0.2", "--mix", "0.25,0.75", "--json"]
    assert main([*words, "--layers", "--capacity", "3"]) == 0
    assert json.loads(capsys.readouterr().out) == {"path": str(out), "fragments": 4}
    deployment = read_deployment(out)
    assert deployment.problem.chains[0].arrivals.rate == 0.2
    assert deployment.problem.devices[0].capacity == 3
    assert deployment.exits is not None
    assert deployment.exits["classify"].p == (0.25, 0.75)  # type: ignore[union-attr]
    assert main(["import-ceed", *paths, str(out), "--mix", "1;0"]) == 2
    assert "mix must be numbers" in capsys.readouterr().err
    assert main(["import-ceed", *paths, str(tmp_path / "no" / "folder.yaml")]) == 2
    assert "out must be a file that can be written" in capsys.readouterr().err


BACKBONE = "backbone_execution_time"


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("early_exits_gates",), [1, 2], r"early_exits_gates must ascend .* last layer, 3, got"),
        (("early_exits_gates",), [3, 1], "early_exits_gates must ascend"),
        (("early_exits_gates",), None, "early_exits_gates must ascend"),
        (("early_exits_gates",), [0, 3], "gate_execution_time must have gate_0_layer_0_"),
        (("input_size",), [3, 8], "input_size must hold channels, height and width"),
        (("num_classes",), 1, r"model\.num_classes must be a number >= 2"),
        (("accuracy",), {"gate_0": 0.5}, r"accuracy\.gate_1 must be a number >= 0, got .*=None"),
        ((BACKBONE,), {}, "backbone_execution_time must be given"),
        ((BACKBONE, "layer_1_ReLU_1", "mean"), -1.0, r"layer_1_ReLU_1\.mean must be a number >= 0"),
        ((BACKBONE, "layer_1_ReLU_1"), {"mean": 1.0}, r"layer_1_ReLU_1\.var must be a number"),
        ((BACKBONE, "layer_9_ReLU_1"), record(1.0), "backbone_output_memory must name the layers"),
        (("memory",), {"output": 1}, r"memory\.model must be a number"),
        (("execution_time_gate_1_layer_3",), 3.0, "gate_1_layer_3 must be given, got .*=3.0"),
        (
            ("backbone_output_memory", "layer_2_ResidualBottleneck_1"),
            750.0,
            "must hold 32 channels",
        ),
    ],
)
def test_what_is_wrong_is_named(
    tmp_path: Path, place: tuple[str, ...], value: object, message: str
) -> None:
    model, system = copy.deepcopy(small())
    part: Any = system if place[0] in system else model
    for key in place[:-1]:
        part = part[key]
    part[place[-1]] = value
    with pytest.raises(InvalidInputError, match=message):
        read_ceed(*written(tmp_path, model, system))


def test_unknown_layers_and_files_are_refused(tmp_path: Path) -> None:
    model, system = small()
    text = json.dumps(system).replace("layer_1_ReLU_1", "layer_1_Attention_1")
    with pytest.raises(InvalidInputError, match=r"layer must be ResNetConv1, .*='Attention'"):
        read_ceed(*written(tmp_path, model, json.loads(text)))
    text = json.dumps(system).replace("layer_1_ReLU_1", "layer_2_ReLU_1")
    with pytest.raises(InvalidInputError, match=r"must have layer_1_\.\.\. in place 1"):
        read_ceed(*written(tmp_path, model, json.loads(text)))
    with pytest.raises(InvalidInputError, match="model must be a readable JSON file"):
        read_ceed(tmp_path / "none.json", tmp_path / "system.json")
    (tmp_path / "system.json").write_text("{")
    with pytest.raises(InvalidInputError, match=r"system\.document must be JSON"):
        read_ceed(tmp_path / "model.json", tmp_path / "system.json")
