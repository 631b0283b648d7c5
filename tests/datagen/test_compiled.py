"""The cache of compiled kernels is never stale and does not grow for ever."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numba
import pytest

from datagen import compiled
from datagen.compiled import cache_folder, source_hash
from datagen.simulator.tally import BIN_SHIFT
from tests.test_architecture import imported_names


@pytest.fixture
def sources(tmp_path: Path) -> list[Path]:
    files = [tmp_path / "some_kernel.py", tmp_path / "constants.py"]
    for file in files:
        file.write_text(f"# {file.name}\n")
    return files


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, as a user with another home would have."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "edge-surrogate"


def fresh_cache_folder(*home: Path) -> Path:
    """The folder found anew: the function remembers its answer."""
    return cache_folder.__wrapped__(*home)


def test_a_changed_source_changes_the_folder(sources: list[Path]) -> None:
    before = source_hash(sources)
    assert source_hash(sources) == before
    sources[1].write_text("# constants.py\nBINS = 7\n")
    assert source_hash(sources) != before


def test_a_new_or_renamed_source_changes_the_folder(sources: list[Path]) -> None:
    before = source_hash(sources)
    assert source_hash(sources[:1]) != before
    renamed = sources[1].rename(sources[1].with_name("others.py"))
    assert source_hash([sources[0], renamed]) != before


def test_the_order_of_sources_does_not_matter(sources: list[Path]) -> None:
    assert source_hash(sources) == source_hash(sources[::-1])


def test_the_bounds_check_has_a_folder_of_its_own(
    sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = set()
    for flag in (None, 1):
        monkeypatch.setattr(numba.config, "BOUNDSCHECK", flag)
        folders.add(source_hash(sources))
    assert len(folders) == 2


def test_another_version_changes_the_folder(
    sources: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = source_hash(sources)
    monkeypatch.setattr(numba, "__version__", "0.0.1")
    assert source_hash(sources) != before


def test_the_hash_covers_every_module_beside_a_kernel(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Path] = []

    def spy(sources: list[Path]) -> str:
        hashed.extend(sources)
        return "folder"

    monkeypatch.setattr(compiled, "source_hash", spy)
    assert fresh_cache_folder() == root / "folder"
    names = {path.name for path in hashed}
    assert {"kernel.py", "heap_kernel.py", "keys.py", "tally.py", "network.py"} <= names
    package = Path(compiled.__file__).parent
    for kernel in package.rglob("*kernel.py"):
        for _, name in imported_names(kernel.stem, kernel.read_text()):
            part, *deeper = name.split(".")
            module = package.joinpath(*deeper[:-1]).with_suffix(".py")
            if part == "datagen" and module.is_file():
                assert module in hashed, f"{kernel.name} reads {name}"


def made(root: Path, ages: list[float]) -> list[Path]:
    """Cache folders that were used so many days ago."""
    folders = [root / f"unused-{age}" for age in ages]
    for age, folder in zip(ages, folders, strict=True):
        folder.mkdir(parents=True)
        (folder / "kernel.nbi").write_text("code")
        used = time.time() - age * 86_400
        os.utime(folder, (used, used))
    return folders


def test_folders_long_unused_are_deleted_and_files_left_alone(root: Path) -> None:
    used = made(root, [0.0, 0.5, 1.0, 5.0, 29.0])
    unused = made(root, [31.0, 400.0])
    (root / "notes.txt").write_text("not ours")
    current = fresh_cache_folder()
    assert {path for path in root.iterdir() if path.is_dir()} == {current, *used}
    assert not any(path.exists() for path in unused)
    assert (root / "notes.txt").exists()


def test_of_very_many_folders_the_last_used_are_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiled, "_MOST_FOLDERS", 3)
    used = made(root, [0.2, 0.1, 0.4, 0.3])
    current = fresh_cache_folder()
    assert {*root.iterdir()} == {current, *used[:2]}


def test_a_kernel_elsewhere_is_kept_by_what_lies_beside_it_too(root: Path, tmp_path: Path) -> None:
    home = tmp_path / "elsewhere"
    home.mkdir()
    (home / "own_kernel.py").write_text("WIDTH = 4\n")
    before = fresh_cache_folder(home)
    assert fresh_cache_folder(home) == before != fresh_cache_folder()
    (home / "own_kernel.py").write_text("WIDTH = 8\n")
    assert fresh_cache_folder(home) != before
    assert {path.parent for path in (before, fresh_cache_folder())} == {root}


def test_a_folder_in_use_is_the_newest(root: Path) -> None:
    current = fresh_cache_folder()
    os.utime(current, (1.0, 1.0))
    assert fresh_cache_folder() == current
    assert current.stat().st_mtime > 1e9


def test_without_a_place_for_a_cache_kernels_still_compile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder can be made below a file")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setattr(compiled, "cache_folder", fresh_cache_folder)

    @compiled.compiled
    def twice(x: float) -> float:
        return 2 * x

    assert twice(1.5) == 3.0


def test_compiling_leaves_numbas_setting_alone() -> None:
    before = numba.config.CACHE_DIR

    @compiled.compiled
    def same(x: float) -> float:
        return x

    assert before == numba.config.CACHE_DIR
    assert same.py_func(2.0) == 2.0


LATENCY_BIN = """
from datagen.simulator.leave_kernel import latency_bin
print(latency_bin(1.0), sum(latency_bin.stats.cache_hits.values()))
"""


def in_a_process(code: str, package: Path, cache: Path) -> str:
    """What a process prints that imports the packages of a folder and has a cache of its own."""
    environment = os.environ | {"PYTHONPATH": str(package), "XDG_CACHE_HOME": str(cache)}
    command = [sys.executable, "-c", code]
    run = subprocess.run(
        command, cwd=package, env=environment, check=True, capture_output=True, text=True
    )
    return run.stdout


def test_a_kernel_is_compiled_anew_when_a_module_that_it_reads_changes(
    tmp_path: Path, repository: Path
) -> None:
    shutil.copytree(
        repository / "datagen", tmp_path / "datagen", ignore=shutil.ignore_patterns("__pycache__")
    )

    def bin_and_hits() -> list[int]:
        return [int(word) for word in in_a_process(LATENCY_BIN, tmp_path, tmp_path).split()]

    before, hits = bin_and_hits()
    assert hits == 0
    assert bin_and_hits() == [before, 1]
    tally = tmp_path / "datagen" / "simulator" / "tally.py"
    source = tally.read_text()
    assert "_SMALLEST_EXPONENT, _LARGEST_EXPONENT = -30, 30" in source
    tally.write_text(source.replace("= -30, 30", "= -29, 30"))
    bins_per_octave = 1 << (52 - BIN_SHIFT)
    assert bin_and_hits() == [before - bins_per_octave, 0]


@pytest.mark.slow
def test_the_first_call_on_a_fresh_machine_takes_less_than_30_s(
    tmp_path: Path, repository: Path
) -> None:
    code = (
        "import time; from datagen.simulator import warm_up; warm_up(); print(time.process_time())"
    )
    assert float(in_a_process(code, repository, tmp_path)) < 30.0
