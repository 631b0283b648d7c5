from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datagen.errors import InvalidInputError
from datagen.exits import ExitTrace

CONFIDENCES = np.array([[0.5, 0.9, 1.0], [0.25, 0.1 + 0.2, 0.0]])
CORRECT = np.array([[True, False, True], [False, False, True]])


def trace(**others: Any) -> ExitTrace:
    content = {"name": "t", "confidences": CONFIDENCES, "correct": CORRECT}
    return ExitTrace(**content | others)


FULL = trace(context=[1, 0], group=[7, 0], cost=[0.5, 0.75, 2.0])


@pytest.mark.parametrize("file", ["t.npz", "t.parquet", "t.csv"])
@pytest.mark.parametrize("whole", [trace(), FULL], ids=["least", "full"])
def test_files_read_back_exactly(tmp_path: Path, file: str, whole: ExitTrace) -> None:
    whole.save(tmp_path / file)
    again = ExitTrace.load(tmp_path / file)
    assert again == whole
    assert again.arrays().keys() == whole.arrays().keys()
    for name, values in whole.arrays().items():
        assert again.arrays()[name].dtype == values.dtype
        assert again.arrays()[name].tobytes() == values.tobytes()
    assert ExitTrace.load(tmp_path / file, name="other").name == "other"


def test_a_trace_is_a_value() -> None:
    assert trace() == trace()
    assert hash(trace()) == hash(trace())
    assert pickle.loads(pickle.dumps(FULL)) == FULL
    different = [
        trace(name="u"),
        trace(confidences=CONFIDENCES / 2),
        trace(correct=~CORRECT),
        trace(context=[1, 0]),
        trace(context=[0, 1]),
        trace(group=[0, 1]),
        trace(cost=[1, 2, 3]),
    ]
    assert len({trace(), *different}) == 8
    given = CONFIDENCES.copy()
    kept = trace(confidences=given)
    given[0, 0] = 0.0
    assert kept.confidences[0, 0] == 0.5
    with pytest.raises(ValueError, match="read-only"):
        kept.confidences[0, 0] = 1.0


def test_sizes() -> None:
    assert (FULL.samples, FULL.exits, FULL.contexts, trace().contexts) == (2, 3, 2, 0)


NAN, ROW = float("nan"), [0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "", "name must be a text"),
        ("confidences", [ROW, [0.5, NAN, 1]], r"confidences\[1\]\[1\] must lie in .*=nan"),
        ("confidences", [ROW, [1.5, 0, 1]], r"confidences\[1\]\[0\] must lie in .*=1\.5"),
        ("confidences", [[-1e-9, 0, 1], ROW], r"confidences\[0\]\[0\] must lie in \[0, 1\]"),
        ("confidences", [ROW, [0.5]], "confidences must have rows of one length"),
        ("confidences", [0.5, 0.5], r"confidences must have shape \[N, E\].*=\(2,\)"),
        ("confidences", [], r"confidences must have shape \[N, E\]"),
        ("confidences", [[], []], r"confidences must have shape \[N, E\]"),
        ("confidences", [["0.5", "a"]], "confidences must hold numbers"),
        ("confidences", None, "confidences must hold numbers"),
        ("correct", [[1, 0, 1]], r"correct must have shape \(2, 3\), got correct=\(1, 3\)"),
        ("correct", [[1, 0, 1], [0, 0.5, 1]], r"correct\[1\]\[1\] must be true or false"),
        ("correct", [[1, 0, 1], [0, NAN, 1]], r"correct\[1\]\[1\] must be true or false"),
        ("context", [0], r"context must have shape \(2,\)"),
        ("context", [0, 0.5], r"context\[1\] must be a whole number in \[0, 2\)"),
        ("context", [-1, 0], r"context\[0\] must be a whole number"),
        ("context", [0, 10**12], r"context\[1\] must be a whole number"),
        ("context", [1, 1], "context must have a sample of every context from 0 on, got context=0"),
        ("group", [0, 1, 2], r"group must have shape \(2,\)"),
        ("group", [0, 0.5], r"group\[1\] must be a whole number"),
        ("group", [-1, 0], r"group\[0\] must be a whole number"),
        ("group", [0, NAN], r"group\[1\] must be a whole number"),
        ("cost", [1.0, 2.0], r"cost must have shape \(3,\)"),
        ("cost", [1.0, NAN, 2.0], r"cost\[1\] must be finite and >= 0, got cost\[1\]=nan"),
        ("cost", [1.0, -1.0, 2.0], r"cost\[1\] must be finite and >= 0"),
    ],
)
def test_bad_arrays_are_named_by_place_and_value(field: str, value: object, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        trace(**{field: value})


def _archive(path: Path, **arrays: Any) -> Path:
    np.savez(path / "t.npz", **{"confidences": CONFIDENCES, "correct": CORRECT} | arrays)
    return path / "t.npz"


def _table(path: Path, **columns: Any) -> Path:
    content = {"confidences": CONFIDENCES.tolist(), "correct": CORRECT.tolist()}
    pq.write_table(pa.table(content | columns), path / "t.parquet")
    return path / "t.parquet"


@pytest.mark.parametrize("make", [_archive, _table])
@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"confidence": [1.0, 2.0]}, "file must hold no arrays but .* got file='confidence'"),
        ({"context": [0, 2]}, r"context\[1\] must be a whole number"),
        ({"confidences": [[0.5, 2.0, 0.5]] * 2}, r"confidences\[0\]\[1\] must lie in"),
    ],
)
def test_bad_content_of_files_is_refused(
    tmp_path: Path, make: Any, extra: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        ExitTrace.load(make(tmp_path, **extra))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"confidences": [[0.5], [0.5, 0.5]]}, "confidences must have lists of one length"),
        ({"confidences": [[0.5, 0.5, 0.5], None]}, "confidences must have lists of one length"),
        ({"confidences": [[0.5, 0.5, None], [0.5] * 3]}, "confidences must have no nulls"),
        ({"context": [0, None]}, "context must have no nulls"),
        ({"cost": [[1.0, 2.0, 3.0], [1.0, 2.0, 4.0]]}, "cost must be the same list in every row"),
        ({"cost": [1.0, 2.0]}, "cost must be the same list"),
        ({"confidences": ["a", "b"]}, "confidences must hold numbers"),
    ],
)
def test_bad_tables_are_refused(tmp_path: Path, columns: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        ExitTrace.load(_table(tmp_path, **columns))


HEAD = "confidence_0,confidence_1,correct_0,correct_1"


def test_tables_of_other_programs_are_read(tmp_path: Path) -> None:
    lines = ["\ufeffcorrect_1, context,confidence_1,correct_0,confidence_0", "", "TRUE,1,0.9,0,.5"]
    (tmp_path / "t.csv").write_text("\n".join([*lines, "false,0,1,1,2.5e-1", ""]))
    found = ExitTrace.load(tmp_path / "t.csv")
    assert found.confidences.tolist() == [[0.5, 0.9], [0.25, 1.0]]
    assert found.correct.tolist() == [[False, True], [True, False]]
    assert found.context is not None
    assert found.context.tolist() == [1, 0]
    assert found.group is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "file must hold an array confidences"),
        (HEAD, r"confidences must have shape \[N, E\]"),
        (f"{HEAD}\n0.5,nan,1,1", r"confidences\[0\]\[1\] must lie in .*=nan"),
        (f"{HEAD}\n0.5,,1,1", r"line 2 confidence_1 must be a number, got .*=''"),
        (f"{HEAD}\n0.5,true,1,1", "line 2 confidence_1 must be a number"),
        (f"{HEAD}\n0.5,1,1", "line 2 must have 4 cells as the first, got line 2=3"),
        (f"{HEAD}\n0.5,1,1,2", r"correct\[0\]\[1\] must be true or false"),
        (f"{HEAD},weight\n0.5,1,1,1,1", "file must have no columns but .*confidence_0.*='weight'"),
        (f"{HEAD},correct_0\n0.5,1,1,1,1", "file must name each column once"),
        (f"{HEAD},confidence_3\n0.5,1,1,1,1", "confidences must have a column for every exit"),
        (f"{HEAD},cost_0,cost_1\n0.5,1,1,1,1,2\n0.5,1,1,1,1,3", "cost must be the same list"),
    ],
)
def test_bad_lines_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        ExitTrace.load(tmp_path / "t.csv")


class Harmful:
    """Would leave a mark if it were ever unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (pytest.fail, ("a pickle was loaded",))


def test_pickles_are_refused_unread(tmp_path: Path) -> None:
    objects = np.array([[Harmful()]], dtype=object)
    pickled = _archive(tmp_path, confidences=objects)
    bare = tmp_path / "bare.npz"
    bare.write_bytes(pickle.dumps({"confidences": Harmful()}))
    array = tmp_path / "array.npz"
    with array.open("wb") as file:
        np.save(file, CONFIDENCES)
    cut = tmp_path / "cut.npz"
    cut.write_bytes(_archive(tmp_path).read_bytes()[:-40])
    pickled = _archive(tmp_path, confidences=objects)
    for path in (pickled, bare, array, cut, tmp_path / "none.npz"):
        with pytest.raises(InvalidInputError, match="file must be an .npz file without pickled"):
            ExitTrace.load(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and so on")
    for path in (tmp_path / "t.parquet", tmp_path / "none.parquet"):
        with pytest.raises(InvalidInputError, match="file must be a Parquet file"):
            ExitTrace.load(path)
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "bytes.csv", tmp_path / "none.csv"):
        with pytest.raises(InvalidInputError, match="file must be a CSV file"):
            ExitTrace.load(path)
    with pytest.raises(InvalidInputError, match=r"file must end in \.npz, \.parquet or \.csv"):
        ExitTrace.load(tmp_path / "t.txt")
    with pytest.raises(InvalidInputError, match=r"file must end in"):
        FULL.save(tmp_path / "t.pickle")
    np.savez(tmp_path / "t.npz", confidences=CONFIDENCES)
    with pytest.raises(InvalidInputError, match="file must hold an array correct"):
        ExitTrace.load(tmp_path / "t.npz")
