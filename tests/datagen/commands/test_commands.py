from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datagen.__main__ import COMMANDS, main
from datagen.compiled import cache_folder
from datagen.documents.plain import dump_yaml
from datagen.exits import ExitTrace
from datagen.scenarios import Type1Scenario
from datagen.store import read_dataset
from tests.datagen.store.test_chainnet import lay_out
from tests.helpers import camera_document

SMOKE = """
scenario: {name: type1, chains: [1, 2], length: [2, 3], pool: 4}
simulation: {events: 2e3}
rows_per_shard: 4
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the program in this process; give its status, output and errors."""

    def call(*words: object) -> tuple[int, str, str]:
        try:
            status = main([str(word) for word in words])
        except SystemExit as stop:
            status = int(stop.code or 0)
        output = capsys.readouterr()
        return status, output.out, output.err

    return call


def assert_refused(found: tuple[int, str, str], command: str, *parts: str) -> None:
    status, out, err = found
    assert status == 2, err
    assert out == ""
    assert err.startswith(f"datagen {command}: error: ")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err


def test_the_whole_path(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "smoke.yaml"
    config.write_text(SMOKE)
    first, second = tmp_path / "first", tmp_path / "second"
    status, out, err = run(
        "generate", first, "--config", config, "--num", 6, "--workers", 1, "--json"
    )
    assert (status, err) == (0, "")
    assert json.loads(out)["deployments"] == 6
    words = ("simulate", first, second, "--events", 4e3, "--seed", 1, "--workers", 1, "--json")
    assert run(*words)[0] == 0
    status, out, _ = run("compare", second, first, "--json")
    report = json.loads(out)
    assert (status, report["deployments"]) == (0, 6)
    assert set(report) >= {"throughput_ratio", "latency_ratio", "loss_ratio", "by_load", "coverage"}
    assert 0 < report["throughput_ratio"]["mae"] < 0.2
    assert run("validate", second, "--json")[0] == 0
    assert "throughput_ratio" in run("compare", second, first)[1]
    assert "valid" in run("validate", second)[1]


def test_parts_are_generated_merged_described_and_reproduced(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "smoke.yaml"
    config.write_text(SMOKE)
    words = ("--config", config, "--num", 6, "--workers", 1)
    whole, merged = tmp_path / "whole", tmp_path / "merged"
    assert run("generate", whole, *words)[0] == 0
    for part in (1, 2):
        status, out, _ = run("generate", tmp_path / str(part), *words, "--part", f"{part}/2")
        assert (status, out.startswith(f"{tmp_path / str(part)}: ")) == (0, True)
    status, out, _ = run("merge", merged, tmp_path / "1", tmp_path / "2", "--json")
    assert (status, json.loads(out)) == (0, {"path": str(merged), "deployments": 6, "parts": 2})
    for file in whole.glob("*.parquet"):
        assert (merged / file.name).read_bytes() == file.read_bytes()
    page = tmp_path / "plots.html"
    status, out, _ = run("describe", merged, "--report", page, "--json")
    report = json.loads(out)
    assert (status, report["deployments"], report["failed"]) == (0, 6, [])
    assert page.stat().st_size > 1000
    status, out, _ = run("describe", merged)
    assert status == 0
    assert "loss of a chain" in out
    nowhere = run("describe", merged, "--report", tmp_path / "no" / "where.html")
    assert_refused(nowhere, "describe", "report must lie in a folder that exists")
    status, out, _ = run("reproduce", merged, "--index", 4, "--json")
    found = json.loads(out)
    assert (status, found["identical"], found["index"]) == (0, True, 4)
    assert len(found["chains"]) == len(found["deployment"]["chains"])
    assert "the same, bit for bit" in run("reproduce", merged, "--index", 0)[1]
    assert_refused(run("reproduce", merged, "--index", 6), "reproduce", "index must be a row of")
    found_ = run("merge", tmp_path / "again", tmp_path / "1")
    assert_refused(found_, "merge", "parts must be all 2 parts")


def test_measured_labels_are_imported(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(dump_yaml(camera_document()))
    (tmp_path / "runs.csv").write_text("deployment,chain,latency\na.yaml,camera,0.5\n")
    status, out, _ = run("import-measured", tmp_path / "runs.csv", tmp_path / "out", "--json")
    assert (status, json.loads(out)["deployments"]) == (0, 1)
    (tmp_path / "runs.csv").write_text("deployment,chain,latency\na.yaml,camera,soon\n")
    found = run("import-measured", tmp_path / "runs.csv", tmp_path / "other")
    assert_refused(found, "import-measured", "runs.csv line 2: latency must be a number or empty")


def test_failures_are_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "smoke.yaml"
    config.write_text(SMOKE)
    original = Type1Scenario.draw
    drawn: list[int] = []

    def draw(self: Type1Scenario, rng: object) -> object:
        drawn.append(1)
        if len(drawn) in (1, 2):  # the first row, alone and with its neighbours
            raise ArithmeticError("odd")
        return original(self, rng)  # type: ignore[arg-type]

    monkeypatch.setattr(Type1Scenario, "draw", draw)
    words = ("generate", tmp_path / "out", "--config", config, "--num", 6, "--workers", 1)
    status, out, _ = run(*words)
    assert status == 0
    assert "5 deployments" in out
    assert "1 failed: datagen describe lists them, --retry-failed tries them again" in out
    assert "0: ArithmeticError: odd" in run("describe", tmp_path / "out")[1]
    status, out, _ = run(*words, "--retry-failed", "--json")
    assert (status, json.loads(out)["deployments"], json.loads(out)["failed"]) == (0, 6, 0)


def test_a_document_is_simulated(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(dump_yaml(camera_document()))
    out = tmp_path / "out"
    assert run("simulate", path, out, "--horizon", 1e3, "--workers", 1)[0] == 0
    assert json.loads(run("validate", out, "--json")[1])["deployments"] == 1


def _camera(tmp_path: Path) -> Path:
    path = tmp_path / "camera.yaml"
    path.write_text(dump_yaml(camera_document()))
    return path


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--counts", "--min-offered", "2e3", "--min-completed", 100], {"counts": True}),
        (["--precision", 0.1, "--loss-precision", 0.2, "--max-events", 1e5], {"max_events": 1e5}),
        (["--loss-precision", 0.2], {"loss_precision": 0.2}),
        (["--horizon", 200, "--windows", 4], {"windows": 4, "warmup": 0.05}),
        (["--events", 1e4, "--warmup", "mser5"], {"warmup": "mser5"}),
        (["--events", 1e4, "--warmup", 0.25], {"warmup": 0.25}),
    ],
)
def test_lengths_and_warm_ups_are_recorded(
    run: Run, tmp_path: Path, words: list[Any], found: dict[str, Any]
) -> None:
    out = tmp_path / "out"
    status, _, err = run("simulate", _camera(tmp_path), out, *words, "--workers", 1, "--json")
    assert (status, err) == (0, "")
    dataset = read_dataset(out)
    simulation = dataset.manifest["config"]["simulation"]
    assert {name: simulation[name] for name in found} == found
    windows = simulation["windows"] or 0
    measures = dataset.measures()
    assert measures.windows == windows
    assert measures.window["offered"].sum() == (measures.chain["offered"].sum() if windows else 0)
    assert run("validate", out)[0] == 0


def test_traces_contexts_and_power_go_the_whole_way(run: Run, tmp_path: Path) -> None:
    confidences = np.random.default_rng(0).random((40, 2))
    trace = ExitTrace(
        name="t", confidences=confidences, correct=confidences > 0.4, context=np.arange(40) % 2
    )
    trace.save(tmp_path / "t.parquet")
    document = camera_document()
    document["devices"][0]["power"] = [2.0, 6.0]
    document["devices"][1]["power"] = [1.0 + k / 4 for k in range(11)]
    chain = document["chains"][0]
    chain["fragments"][0]["exit"] = {"head": {"law": "deterministic", "mean": 0.01}}
    chain["contexts"] = {"law": "switching", "holding": [20.0, 10.0]}
    document["exits"] = {"camera": {"thresholds": [0.5], "trace": "t.parquet"}}
    path = tmp_path / "camera.yaml"
    path.write_text(dump_yaml(document))
    first, second = tmp_path / "first", tmp_path / "second"
    words = ("--events", 1e4, "--windows", 2, "--workers", 1)
    assert run("simulate", path, first, *words)[0] == 0
    # From the packed columns of the data set, without the files: the same to the last bit.
    (tmp_path / "t.parquet").unlink()
    assert run("simulate", first, second, *words)[0] == 0
    one, other = (read_dataset(folder).measures() for folder in (first, second))
    for level in ("deployment", "chain", "step", "device", "window"):
        for name, values in getattr(one, level).items():
            assert np.array_equal(getattr(other, level)[name], values, equal_nan=True), name
    assert one.chain["energy"][0] > 0
    assert (one.device["power"] > 1.0).all()
    assert 0.0 < one.chain["accuracy_offered"][0] < 1.0
    assert run("validate", first)[0] == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--windows", 3], "windows must be one of 1, 2, 4, 8, 16, 32, got windows=3."),
        (["--windows", "two"], "windows must be a number, got windows='two'."),
        (["--warmup", "mser"], "warmup must be a share or mser5, got warmup='mser'."),
        (["--warmup", "1.5"], "warmup must lie in [0, 1), got warmup=1.5."),
        (["--counts", "--events", 10], "argument --events: not allowed with argument --counts"),
        (["--min-offered", 10], "min-offered must go with --counts"),
        (["--loss-precision", 0.1, "--horizon", 10], "length must be one of horizon"),
        (["--horizon", 1e12], "horizon must mean at most 1e+10 expected events"),
        (["--max-events", 1e12], "max_events must be > 0 and at most 1e+10"),
    ],
)
def test_bad_lengths_are_refused(run: Run, tmp_path: Path, words: list[Any], message: str) -> None:
    out = tmp_path / "out"
    found = run("simulate", _camera(tmp_path), out, *words, "--workers", 1)
    assert_refused(found, "simulate", message)
    assert not out.exists()


def test_public_text_is_imported(run: Run, tmp_path: Path) -> None:
    source = lay_out(tmp_path / "public")
    status, out, _ = run("import-chainnet", source, tmp_path / "out", "--json")
    assert (status, json.loads(out)["deployments"]) == (0, 2)
    assert run("validate", tmp_path / "out")[0] == 0
    other = tmp_path / "other"
    lay_out(tmp_path / "changed", arrival="0.5\n2\n5\n")
    run("import-chainnet", tmp_path / "changed", other)
    found = run("compare", other, tmp_path / "out", "--json")
    assert_refused(found, "compare", "candidate must hold the deployments of the reference")


def changed(path: list[Any], value: object) -> bytes:
    document: Any = camera_document()
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return dump_yaml(document).encode()


WHOLE = dump_yaml(camera_document()).encode()

BAD_DOCUMENTS: dict[str, tuple[bytes, str]] = {
    "unknown key": (changed(["devices", 0, "capcity"], 5), "devices[0].capcity must be one of"),
    "duplicate key": (WHOLE + b"overflow: drop\noverflow: drop\n", "overflow must appear once"),
    "negative rate": (
        changed(["chains", 0, "arrivals", "rate"], -2.0),
        "chains[0].arrivals.rate must be finite and > 0, got chains[0].arrivals.rate=-2.0.",
    ),
    "capacity 0": (
        changed(["devices", 0, "capacity"], 0),
        "devices[0].capacity must be a whole number >= 1, got devices[0].capacity=0.",
    ),
    "nan": (WHOLE.replace(b"rate: 2.0", b"rate: .nan"), "chains[0].arrivals.rate must be finite"),
    "missing device": (
        changed(["placement", "camera"], ["pi", "tpu"]),
        "placement.camera must name devices of the problem, got placement.camera='tpu'.",
    ),
    "wrong number of devices": (
        changed(["placement", "camera"], ["pi"]),
        "placement.camera must list 2 devices, got placement.camera=('pi',).",
    ),
    "tags": (WHOLE + b"fuse: !!python/name:os.system x\n", "document must not use tags"),
    "empty file": (b"", "document must not be empty"),
    "binary file": (bytes(range(256)), "document must be UTF-8 text"),
    "unlimited and overloaded": (
        WHOLE.replace(b"capacity: 20", b"capacity: null").replace(b"rate: 2.0", b"rate: 20.0"),
        "placement must keep devices of unlimited capacity below load 1",
    ),
    "variants": (
        changed(
            ["chains", 0, "variants"],
            [
                {
                    "name": "small",
                    "fragments": [{"name": "s", "service": {"law": "deterministic", "mean": 0.1}}],
                    "accuracy": 0.5,
                }
            ],
        ),
        "not yet supported by numba: variants",
    ),
    "batching": (
        WHOLE + b"batching: {pi: {policy: dynamic, max_batch: 4}}\n",
        "batching.pi must be given for accelerators only, got batching.pi='pi'.",
    ),
    "npu": (
        changed(["devices", 0, "npu"], {"network": "resnet"}),
        "devices[0].npu.network must be one of resnet50, mobilenetv2, inceptionv3, got",
    ),
}


@pytest.mark.parametrize("case", BAD_DOCUMENTS)
def test_bad_documents_are_refused_and_nothing_is_written(
    run: Run, tmp_path: Path, case: str
) -> None:
    content, message = BAD_DOCUMENTS[case]
    path, out = tmp_path / "bad.yaml", tmp_path / "out"
    path.write_bytes(content)
    assert_refused(run("simulate", path, out, "--workers", 1), "simulate", message)
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--num", "0"], "num must be a whole number >= 1, got num=0."),
        (["--num", "2.5"], "num must be a whole number >= 1, got num='2.5'."),
        (["--num", "two"], "num must be a number, got num='two'."),
        (["--num", "1", "--seed", "-1"], "seed must be a whole number >= 0"),
        (["--num", "1", "--workers", "0"], "workers must be a whole number >= 1"),
        (["--num", "1", "--sede", "1"], "unrecognized arguments: --sede 1"),
        (["--num", "1", "--part", "3"], "part must be i/n with 1 <= i <= n, got part='3'."),
        (["--num", "9", "--part", "4/3"], "part must be i/n with 1 <= i <= n, got part='4/3'."),
        (["--num", "1", "--part", "1/2"], "part must have no more parts than there are shards, 1"),
        (["--num", "1", "--timeout", "0"], "timeout must be > 0, got timeout=0.0."),
        (["--num", "1", "--max-failures", "-1"], "max-failures must be a whole number >= 0"),
        (["--num", "1", "--executor", "dask"], "scheduler must be given with --executor dask"),
        (["--num", "1", "--scheduler", "tcp://x:1"], "scheduler must be left out without"),
        ([], "the following arguments are required: --num"),
    ],
)
def test_bad_words_are_refused(run: Run, tmp_path: Path, words: list[str], message: str) -> None:
    config, out = tmp_path / "smoke.yaml", tmp_path / "out"
    config.write_text(SMOKE)
    assert_refused(run("generate", out, "--config", config, *words), "generate", message)
    assert not out.exists()


def test_bad_configurations_are_refused(run: Run, tmp_path: Path) -> None:
    config, out = tmp_path / "bad.yaml", tmp_path / "out"
    for content, message in [
        (SMOKE.replace("pool", "pol"), "scenario.pol must be one of"),
        (SMOKE.replace("2e3", "-2"), "simulation.events must be finite and > 0"),
        ("", "document must not be empty"),
    ]:
        config.write_text(content)
        found = run("generate", out, "--config", config, "--num", 1)
        assert_refused(found, "generate", message)
    assert not out.exists()


def test_a_folder_with_content_is_refused(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "smoke.yaml"
    config.write_text(SMOKE)
    found = run("generate", tmp_path, "--config", config, "--num", 1, "--workers", 1)
    assert_refused(found, "generate", "out must be a new or empty folder")
    assert [entry.name for entry in tmp_path.iterdir()] == ["smoke.yaml"]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "missing"])
def test_damaged_data_are_refused(run: Run, tmp_path: Path, damage: str) -> None:
    folder, out = tmp_path / "set", tmp_path / "out"
    run("import-chainnet", lay_out(tmp_path / "public"), folder)
    file = folder / "part-00000.parquet"
    content = bytearray(file.read_bytes())
    if damage == "truncated":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 4
        file.write_bytes(content)
    else:
        file.unlink()
    for words in (["validate", folder], ["compare", folder, folder], ["simulate", folder, out]):
        assert_refused(run(*words), words[0], "part-00000.parquet")  # type: ignore[arg-type]
    assert not out.exists()


def test_an_unknown_command_is_refused(run: Run) -> None:
    for words in ((), ("generat",)):
        status, out, err = run(*words)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("datagen: error: COMMAND must be one of generate, ")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_how_it_is_used(run: Run, command: str) -> None:
    status, out, _ = run(command, "--help")
    assert status == 0
    assert out.startswith(f"usage: datagen {command} ")


def test_the_module_is_a_program(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "datagen", "validate", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 2
    assert child.stderr.startswith("datagen validate: error: path must be a folder with a manifest")


def test_all_loops_are_compiled_ahead_and_their_folder_is_said(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted: list[dict[str, bool]] = []
    monkeypatch.setattr("datagen.simulator.warm_up", lambda **given: wanted.append(given))
    status, out, _ = run("warm-up", "--json")
    assert status == 0
    report = json.loads(out)
    assert wanted == [{"every": True}]
    assert Path(report["folder"]) == cache_folder()
    assert report["seconds"] >= 0.0
    assert report["folder"] in run("warm-up")[1]
