from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datagen.errors import DatagenError, InvalidInputError
from datagen.store import files as files_
from datagen.store import read_dataset
from datagen.store.chainnet import import_chainnet, read_chainnet

# Two deployments of our own in the public format: one chain on two devices, two chains on three.
FILES = {
    "numClasses.txt": "1\n2\n",
    "numNodes.txt": "2\n3\n",
    "capacity.txt": "4 9\n5 6 7   \n",
    "arrival.txt": "0.5\n2\n4\n",
    "path.txt": "2 1\n1 3\n2\n",
    "service.txt": "0.25 0.5\n1 1.5\n0.125  \n",
    "throughput.txt": "1.5\n0.5\n0.25\n",
    "responseTime.txt": "2\n3\n0.125\n",
    "tputRatio.txt": "0.75\n1\n1\n",
    "resptRatio.txt": "0.375\n0.8\n1\n",
}


def lay_out(folder: Path, **changed: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in (FILES | {f"{k}.txt": v for k, v in changed.items()}).items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("inner", ["", "raw"])
def test_deployments_and_labels_are_kept(tmp_path: Path, inner: str) -> None:
    lay_out(tmp_path / "public" / inner)
    assert import_chainnet(tmp_path / "public", tmp_path / "set") == 2
    dataset = read_dataset(tmp_path / "set")
    deployment, measures = dataset[1]
    assert [device.capacity for device in deployment.problem.devices] == [5, 6, 7]
    assert [chain.arrivals.rate for chain in deployment.problem.chains] == [0.5, 0.25]
    assert dict(deployment.placement) == {"c0": (("d0", "d2"),), "c1": (("d1",),)}
    assert [f.service.parameters() for f in deployment.problem.chains[0].fragments] == [
        (1.0,),
        (1.5,),
    ]
    assert measures[0].chains["c0"].latency == 3.0
    chain = dataset.measures().chain
    assert chain["throughput_ratio"].tolist() == [0.75, 1.0, 1.0]
    assert chain["loss_ratio"].tolist() == [0.25, 0.0, 0.0]
    assert chain["throughput"].tolist() == [1.5, 0.5, 0.25]
    assert chain["latency_ratio"].tolist() == [0.375, 0.8, 1.0]


def test_labels_are_optional(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "public")
    for name in ("throughput", "responseTime", "tputRatio", "resptRatio"):
        (folder / f"{name}.txt").unlink()
    assert read_chainnet(folder)[1] == {}
    import_chainnet(folder, tmp_path / "set")
    assert np.isnan(read_dataset(tmp_path / "set").measures().chain["latency"]).all()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"path": "3 1\n1 3\n2\n"}, r"path.txt line 1 must lie in 1\.\.2"),
        ({"path": "2 1\n1 3\n"}, "path.txt must have 3 lines, got path.txt=2"),
        ({"service": "0.25\n1 1.5\n0.1\n"}, "service.txt line 1 must hold 2 numbers"),
        ({"service": "0.25 -1\n1 1.5\n0.1\n"}, "service|mean must be finite and >= 0"),
        ({"capacity": "4\n5 6 7\n"}, "capacity.txt line 1 must hold 2 numbers"),
        ({"capacity": "4 0\n5 6 7\n"}, "capacity must be a whole number >= 1"),
        ({"arrival": "0.5\nnan\n4\n"}, "arrival.txt line 2 must hold finite numbers"),
        ({"arrival": "0.5\n-2\n4\n"}, "arrival.txt line 2 must hold one time > 0"),
        ({"numClasses": "1\n2.5\n"}, "numClasses.txt line 2 must be a whole number >= 1"),
        ({"numClasses": ""}, "numClasses.txt must hold at least one line"),
        ({"numNodes": "2\n"}, "numNodes.txt must have 2 lines"),
        ({"tputRatio": "0.75\none\n1\n"}, "tputRatio.txt line 2 must hold numbers"),
    ],
)
def test_files_that_do_not_fit_are_refused(
    tmp_path: Path, changed: dict[str, str], message: str
) -> None:
    lay_out(tmp_path / "public", **changed)
    with pytest.raises(InvalidInputError, match=message):
        import_chainnet(tmp_path / "public", tmp_path / "set")
    assert not (tmp_path / "set").exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (lay_out(tmp_path / "public") / "path.txt").unlink()
    with pytest.raises(InvalidInputError, match=r"source must be a folder with path\.txt"):
        read_chainnet(tmp_path / "public")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tputRatio": "0.5\n1.25\n0.5\n"}, r"tputRatio\.txt line 2 must lie in \[0, 1\], .*=1.25"),
        ({"resptRatio": "0.5\n0.5\n-0.1\n"}, r"resptRatio\.txt line 3 must lie in \[0, 1\]"),
        ({"throughput": "-1\n1\n1\n"}, r"throughput\.txt line 1 must be >= 0, got .*=-1.0"),
        ({"responseTime": "1\n-2\n1\n"}, r"responseTime\.txt line 2 must be >= 0"),
    ],
)
def test_impossible_labels_are_refused(tmp_path: Path, files: dict[str, str], message: str) -> None:
    source = lay_out(tmp_path / "public", **files)
    with pytest.raises(InvalidInputError, match=message):
        import_chainnet(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failed_import_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files_.pq, "write_table", full)
    with pytest.raises(DatagenError, match="cannot be written"):
        import_chainnet(lay_out(tmp_path / "public"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
