from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from datagen.deployment import Deployment
from datagen.documents import (
    deployment_from_document,
    document_of,
    from_json,
    problem_from_document,
    read_deployment,
    read_problem,
    read_yaml,
    to_json,
    to_yaml,
)
from datagen.documents.plain import dump_yaml, parse_yaml
from datagen.errors import InvalidInputError
from datagen.exits import ExitTrace, Thresholds
from tests.datagen.strategies import deployments
from tests.helpers import camera_document


@given(deployments())
def test_every_form_reads_back_what_was_written(deployment: Deployment) -> None:
    assert deployment_from_document(document_of(deployment)) == deployment
    assert from_json(to_json(deployment)) == deployment
    assert deployment_from_document(parse_yaml(to_yaml(deployment))) == deployment
    assert from_json(to_json(deployment.problem)) == deployment.problem


def test_defaults_are_left_out() -> None:
    document = camera_document()
    del document["devices"][0]["speed"]
    assert document_of(deployment_from_document(document)) == document


def test_a_problem_needs_no_placement(tmp_path: Path) -> None:
    document = camera_document()
    del document["placement"]
    path = tmp_path / "problem.yaml"
    path.write_text(dump_yaml(document))
    problem, deployment = read_problem(path)
    assert problem == problem_from_document(document)
    assert deployment is None
    with pytest.raises(InvalidInputError, match="placement must be given"):
        read_deployment(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("512e6", 512e6),
        ("2e-3", 2e-3),
        (".5", 0.5),
        ("1.", 1.0),
        ("010", 10),
        ("0x1F", 31),
        ("0o17", 15),
        ("-7", -7),
        ("on", "on"),
        ("No", "No"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2001-01-01", "2001-01-01"),
        ("~", None),
        ("", None),
        ("TRUE", True),
        ("'1'", "1"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    read = parse_yaml(f"key: {text}")["key"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "document must not be empty"),
        (b" \n\n", "document must not be empty"),
        (b"# nothing\n", "document must not be empty"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "document must be UTF-8 text"),
        (b"PK\x03\x04\x00\x00", "document must be YAML"),
        (b"- 1\n- 2\n", "document must be a mapping"),
        (b"a: [1", "document must be YAML, got document=.* in line"),
        (b"a: 1\n---\nb: 2\n", "document must be YAML"),
        (b"a: 1\na: 2\n", "a must appear once in its mapping, got a='again in line 2"),
        (b"a: {b: 1, b: 2}\n", "b must appear once"),
        (b"a: !!float 1\n", "document must not use tags"),
        (b"a: !!python/object/apply:os.system [ls]\n", "document must not use tags"),
        (b"a: &x 1\nb: *x\n", "document must not use aliases"),
        (b"1: 2\n", "document must have texts as keys"),
        (b"a: {b: [1, .nan]}\n", r"a\.b\[1\] must be finite, got a\.b\[1\]=nan"),
        (b"a: -.inf\n", "a must be finite"),
        (b"a: 1e999\n", "a must be finite"),
        (b"a: " + b"9" * 5000, "document must hold shorter numbers"),
        (b"[" * 5000, "document must be nested less deeply"),
    ],
)
def test_bad_yaml_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=message) as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.yaml"):
        with pytest.raises(InvalidInputError, match="document must be a readable file"):
            read_yaml(path)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            ["devices", 0, "capcity"],
            5,
            r"devices\[0\]\.capcity must be one of the keys name, speed",
        ),
        (["devices", 1, "capacity"], 0, r"devices\[1\]\.capacity must be a whole number >= 1"),
        (["devices", 1, "capacity"], 2.5, r"devices\[1\]\.capacity must be a whole number >= 1"),
        (["devices", 1, "capacity"], "many", r"devices\[1\]\.capacity must be a number"),
        (["devices", 0, "speed"], True, r"devices\[0\]\.speed must be a number"),
        (["devices", 0, "name"], None, r"devices\[0\]\.name must be given"),
        (["devices", 0, "name"], 3, r"devices\[0\]\.name must be a text"),
        (["devices", 1, "name"], "pi", "devices must have distinct names"),
        (["devices"], [], "devices must hold at least one"),
        (["devices"], None, "devices must be given"),
        (["devices"], {"pi": 1}, "devices must be a list"),
        (["devices", 0], "pi", r"devices\[0\] must be a mapping"),
        (
            ["chains", 0, "arrivals", "rate"],
            -1,
            r"chains\[0\]\.arrivals\.rate must be finite and > 0, got .*=-1\.0",
        ),
        (["chains", 0, "arrivals", "law"], "poison", r"chains\[0\]\.arrivals\.law must be one of"),
        (["chains", 0, "fragments", 1, "service", "mean"], 10**400, r"service\.mean must be below"),
        (
            ["chains", 0, "fragments", 1, "service", "scv"],
            1,
            r"service\.scv must be one of the keys mean",
        ),
        (["chains", 0, "fragments", 0, "allowed"], ["tpu"], "allowed must name a device"),
        (
            ["chains", 0, "contexts"],
            {"law": "switch", "holding": [1, 2]},
            r"chains\[0\]\.contexts\.law must be one of switching, schedule",
        ),
        (
            ["chains", 0, "contexts"],
            {"law": "switching", "holding": [1, -2]},
            r"chains\[0\]\.contexts\.holding must be > 0",
        ),
        (
            ["chains", 0, "contexts"],
            {"law": "switching", "holding": [1, 2]},
            r"camera\.contexts must go with a trace that has contexts, got camera\.contexts=None",
        ),
        (["chains", 0, "parallel"], "yes", r"chains\[0\]\.parallel must be true or false"),
        (["placement"], None, "placement must be given"),
        (["placement", "camera"], ["pi"], "placement.camera must list 2 devices"),
        (["placement", "camera"], ["pi", "tpu"], "placement.camera must name devices"),
        (
            ["placement", "camera"],
            [["pi", ["zero"]]],
            r"placement\.camera\[0\]\[1\] must be a text",
        ),
        (["placement", "camera"], "pi", "placement.camera must be a list"),
        (["placement", "radar"], ["pi"], "placement must name chains"),
        (["routing"], {"camera": [0.5, 0.5]}, "routing.camera must hold 1 prob"),
        (["exits"], {"camera": {"mix": [0.5, 0.5]}}, "exits.camera.mix must hold 1 values"),
        (["exits"], {"camera": {"mux": [1]}}, "exits.camera.mux must be one of"),
        (["overflow"], "drip", "overflow must be drop or block"),
        (["fuse"], 1, "fuse must be true or false"),
        (["devises"], [], "devises must be one of the keys devices"),
    ],
)
def test_errors_name_the_path(path: list[Any], value: object, message: str) -> None:
    document: Any = camera_document()
    inner = document
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(InvalidInputError, match=message):
        deployment_from_document(document)


def test_json_is_as_strict_as_yaml() -> None:
    for text, message in [
        ('{"a": NaN}', "finite numbers only"),
        ('{"a": 1, "a": 2}', "a must appear once"),
        ("{", "document must be JSON"),
        ("[]", "document must be a mapping"),
        ("", "document must be JSON"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            from_json(text)


def _with_exit(document: dict[str, Any]) -> dict[str, Any]:
    document["chains"][0]["fragments"][0]["exit"] = {"head": {"law": "deterministic", "mean": 0.01}}
    return document


@pytest.mark.parametrize("file", ["trace.npz", "trace.parquet"])
def test_trace_files_are_found_beside_the_document(tmp_path: Path, file: str) -> None:
    confidences = np.array([[0.5, 0.9], [0.75, 1.0]])
    trace = ExitTrace(name=file, confidences=confidences, correct=confidences > 0.6)
    trace.save(tmp_path / file)
    document = _with_exit(camera_document())
    document["exits"] = {"camera": {"thresholds": [0.8], "trace": file}}
    path = tmp_path / "problem.yaml"
    path.write_text(dump_yaml(document))
    deployment = read_deployment(path)
    assert deployment.exits == {"camera": Thresholds(tau=(0.8,), trace=file)}
    assert deployment.problem.chains[0].trace == file
    assert deployment.problem.traces == (trace,)
    # Written out, the trace stands in the document itself and no file is needed.
    assert from_json(to_json(deployment)) == deployment


@pytest.mark.parametrize("file", ["trace.npz", "trace.parquet"])
def test_problems_name_trace_files_too(tmp_path: Path, file: str) -> None:
    trace = ExitTrace(name="t", confidences=[[0.5, 0.9], [0.75, 1.0]], correct=[[0, 1], [1, 1]])
    trace.save(tmp_path / file)
    document = _with_exit(camera_document())
    document["traces"] = [{"name": "t", "file": file}]
    document["chains"][0]["trace"] = "t"
    assert problem_from_document(document, folder=tmp_path).traces == (trace,)
    (tmp_path / file).unlink()
    with pytest.raises(InvalidInputError, match=r"traces\[0\]\.file must be an? "):
        problem_from_document(document, folder=tmp_path)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"confidences": [[0.5, 1.5]]}, r"traces\[0\]\.confidences\[0\]\[1\] must lie in"),
        ({"confidences": None}, r"traces\[0\]\.confidences must be a list"),
        ({"correct": [[1, "x"]]}, r"traces\[0\]\.correct\[0\]\[1\] must be a number"),
        ({"correct": [[1]]}, r"traces\[0\]\.correct must have shape \(1, 2\)"),
        ({"context": [1]}, r"traces\[0\]\.context\[0\] must be a whole number"),
        ({"cost": [1]}, r"traces\[0\]\.cost must have shape \(2,\)"),
        ({"cots": [1]}, r"traces\[0\]\.cots must be one of the keys name"),
    ],
)
def test_bad_traces_are_named_by_path(changed: dict[str, Any], message: str) -> None:
    document = camera_document()
    whole = {"name": "t", "confidences": [[0.5, 0.9]], "correct": [[True, 0]]}
    document["traces"] = [whole | changed]
    with pytest.raises(InvalidInputError, match=message):
        deployment_from_document(document)


def test_a_bad_trace_file_is_named_by_the_path_to_it(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", confidences=[[0.5, np.nan]], correct=[[1, 1]])
    document = _with_exit(camera_document())
    document["exits"] = {"camera": {"thresholds": [0.8], "trace": "t.npz"}}
    message = r"exits\.camera\.trace\.confidences\[0\]\[1\] must lie in \[0, 1\], got .*=nan"
    with pytest.raises(InvalidInputError, match=message):
        deployment_from_document(document, folder=tmp_path)


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    pickled = np.array([{"a": 1}], dtype=object)
    np.savez(tmp_path / "trace.npz", confidences=pickled, correct=pickled)
    document = _with_exit(camera_document())
    document["exits"] = {"camera": {"thresholds": [0.8], "trace": "trace.npz"}}
    with pytest.raises(InvalidInputError, match="exits.camera.trace must be an .npz file without"):
        deployment_from_document(document, folder=tmp_path)


@pytest.mark.parametrize("name", ["times.csv", "times.txt", "times.npy"])
def test_recorded_arrivals_come_from_a_file(tmp_path: Path, name: str) -> None:
    if name.endswith("npy"):
        np.save(tmp_path / name, np.array([0.5, 1.0, 4.0]))
    else:
        (tmp_path / name).write_text("time,camera\n0.5,a\n1.0,b\n4,c\n")
    document = camera_document()
    document["chains"][0]["arrivals"] = {"law": "trace", "file": name}
    deployment = deployment_from_document(document, folder=tmp_path)
    assert deployment.problem.chains[0].arrivals.parameters() == (0.5, 1.0, 4.0)
    assert from_json(to_json(deployment)) == deployment
    with pytest.raises(InvalidInputError, match="must not be used in a document that is no file"):
        deployment_from_document(document)


def test_bad_recordings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "words.csv").write_text("a\nb\n")
    (tmp_path / "binary.npy").write_bytes(b"\x00\x01")
    (tmp_path / "empty.csv").write_text("")
    document = camera_document()
    for name in ("words.csv", "binary.npy", "empty.csv", "missing.csv"):
        document["chains"][0]["arrivals"] = {"law": "trace", "file": name}
        with pytest.raises(InvalidInputError, match=r"chains\[0\]\.arrivals\.file must"):
            deployment_from_document(document, folder=tmp_path)
