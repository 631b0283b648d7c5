"""Layer times are read as written, and cut where asked or where the longest piece is shortest."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from datagen.distributions import Deterministic, LogNormal
from datagen.errors import InvalidInputError
from datagen.profiles import MeasuredLayer, NetworkProfile, read_network_profile
from tests.conftest import REPOSITORY

TEXT = """\ufeff# measured on a board
layer, time,deviation,weights,output
stem,0.3,0.03,10,400
"body, wide",0.4,0.04,20,200

head,0.1,0,30,5
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "times.csv"
    path.write_text(TEXT, encoding="utf-8")
    return path


def times(*seconds: float) -> NetworkProfile:
    layers = (MeasuredLayer(name=f"l{n}", time=value) for n, value in enumerate(seconds))
    return NetworkProfile(layers=tuple(layers))


def test_a_file_is_read_as_written(file: Path) -> None:
    found = read_network_profile(file)
    assert [layer.name for layer in found.layers] == ["stem", "body, wide", "head"]
    assert found.layers[1] == MeasuredLayer(
        name="body, wide", time=0.4, deviation=0.04, weights=20.0, output=200.0
    )
    assert found.seconds == pytest.approx(0.8)


def test_a_run_of_layers_becomes_one_fragment(file: Path) -> None:
    first, last = read_network_profile(file).cut_after(["body, wide"])
    assert first.name == "stem..body, wide"
    assert (first.weights, first.output) == (30.0, 200.0)
    assert isinstance(first.service, LogNormal)
    assert first.service.mean == pytest.approx(0.7)
    assert first.service.scv == pytest.approx((0.03**2 + 0.04**2) / 0.7**2)
    assert (last.name, last.service) == ("head", Deterministic(mean=0.1))


def test_the_last_layer_may_be_named(file: Path) -> None:
    found = read_network_profile(file)
    assert found.cut_after(["stem", "head"]) == found.cut_after(["stem"])
    assert len(found.cut_after([])) == 1


def test_the_longest_piece_is_as_short_as_any_cut_makes_it() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        seconds = rng.exponential(size=7).tolist()
        for pieces in range(1, 8):
            cuts = combinations(range(1, 7), pieces - 1)
            best = min(max(map(sum, np.split(seconds, cut))) for cut in cuts)
            found = times(*seconds).cut(pieces)
            assert len(found) == pieces
            assert max(piece.service.mean for piece in found) == pytest.approx(best)  # type: ignore[union-attr]
            assert sum(p.service.mean for p in found) == pytest.approx(sum(seconds))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "header must name layer and time"),
        ("layer,weights\na,1\n", "header must name layer and time"),
        ("layer,time,watts\na,1,2\n", "header must name layer and time"),
        ("layer,time,time\na,1,2\n", "header must name layer and time"),
        ("layer,time\n", "layers must hold at least one"),
        ("layer,time\n# here\na,soon\n", r"line 3\.time must be a number, got"),
        ("layer,time\na,-1\n", r"line 2\.time must be a number >= 0"),
        ("layer,time\na,nan\n", r"line 2\.time must be a number >= 0"),
        ("layer,time\n,1\n", r"line 2\.layer must have a name"),
        ("layer,time\na,1,2\n", r"line 2\.row must hold 2 cells"),
        ("layer,time\na,1\na,1\n", "layer must have a name of its own"),
        ("layer,time\na,0\n", "time must be > 0 for some layer"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "times.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInputError, match=said):
        read_network_profile(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="path must be a readable CSV file"):
        read_network_profile(tmp_path / "nothing.csv")


@pytest.mark.parametrize("pieces", [0, 3])
def test_there_are_at_most_as_many_pieces_as_layers(pieces: int) -> None:
    with pytest.raises(InvalidInputError, match="pieces must lie between 1 and 2"):
        times(1.0, 2.0).cut(pieces)


@pytest.mark.parametrize(
    ("names", "said"),
    [(["l9"], "names must be of l0, l1, l2"), (["l1", "l0"], "names must be in the order")],
)
def test_cuts_are_behind_known_layers_in_order(names: list[str], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        times(1.0, 2.0, 3.0).cut_after(names)


def test_the_example_holds_a_whole_network() -> None:
    found = read_network_profile(REPOSITORY / "examples" / "layer_times.csv")
    assert len(found.layers) == 20
    assert found.seconds == pytest.approx(0.2, rel=0.02)
