"""Nothing that is done to a run loses or doubles a row, and nothing goes unsaid."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from datagen.errors import CorruptDataError, DatagenError, InvalidInputError
from datagen.generate import CampaignLimits, generate, local, read_config, run_campaign
from datagen.generate.sources import ScenarioSource
from datagen.simulator import warm_up
from datagen.store import read_dataset
from datagen.store.lock import LOCK, FolderLock
from tests.datagen.generate.campaigns import CONFIG, ROWS, SEED, shards, task, writer

KILLED = """
scenario: {name: type1, chains: [1, 2], length: [2, 3], pool: 4}
simulation: {events: 2e5}
rows_per_shard: 40
"""
KILLED_ROWS = 400

FORKED = """
import os, random, signal, sys, time
from datagen.generate import generate, read_config
from datagen.simulator import warm_up
from datagen.store import read_dataset
out, config = sys.argv[1], read_config(sys.argv[2])
warm_up()
for delay in map(float, sys.argv[3:]):
    child = os.fork()
    if child == 0:
        generate(out, config, num=200, seed=3, resume=True)
        os._exit(0)
    time.sleep(delay)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""
"""Kills runs that begin at once, in forks of a process that has loaded and compiled everything."""


def test_killed_runs_lose_and_double_nothing(tmp_path: Path) -> None:
    config = tmp_path / "killed.yaml"
    config.write_text(KILLED.replace("40", "10"))
    warm_up()
    began = time.monotonic()
    generate(tmp_path / "whole", read_config(config), num=200, seed=3)
    seconds = time.monotonic() - began
    rng = random.Random(2)
    delays = [f"{rng.uniform(0.02, 0.2) * seconds:.3f}" for _ in range(4)]
    words = [sys.executable, "-c", FORKED, str(tmp_path / "set"), str(config), *delays]
    subprocess.run(words, check=True, capture_output=True, timeout=120)
    assert 0 < len(shards(tmp_path / "set")) < 20
    generate(tmp_path / "set", read_config(config), num=200, seed=3, resume=True)
    assert_same(tmp_path / "set", tmp_path / "whole")


def assert_same(folder: Path, other: Path) -> None:
    assert shards(folder) == shards(other)
    found = [json.loads((path / "manifest.json").read_text()) for path in (folder, other)]
    assert [manifest.pop("run")["executor"] for manifest in found] == ["local", "local"]
    assert found[0] == found[1]
    assert {file.name for file in folder.iterdir()} == set(shards(folder)) | {"manifest.json"}


def command(folder: Path, config: Path) -> list[str]:
    words = [sys.executable, "-m", "datagen", "generate", str(folder), "--config", str(config)]
    return [*words, "--num", str(KILLED_ROWS), "--seed", "3", "--workers", "2"]


@pytest.mark.slow
def test_twenty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    config = tmp_path / "killed.yaml"
    config.write_text(KILLED)
    began = time.monotonic()
    subprocess.run(command(tmp_path / "whole", config), check=True, capture_output=True)
    seconds = time.monotonic() - began
    rng, folder, advanced = random.Random(1), tmp_path / "killed", 0
    for _ in range(20):
        before = len(shards(folder))
        child = subprocess.Popen([*command(folder, config), "--resume"])
        time.sleep(rng.uniform(0.1, 0.9) * seconds)
        child.kill()
        child.wait()
        advanced += len(shards(folder)) > before
    assert advanced >= 2  # some kills must hit runs that were writing
    subprocess.run([*command(folder, config), "--resume"], check=True, capture_output=True)
    assert_same(folder, tmp_path / "whole")


def test_workers_of_a_killed_run_do_not_live_on(tmp_path: Path) -> None:
    config = tmp_path / "killed.yaml"
    config.write_text(KILLED.replace("2e5", "2e6"))
    child = subprocess.Popen(command(tmp_path / "set", config))
    deadline = time.monotonic() + 60
    children: list[int] = []
    while len(children) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
        children = workers_of(child.pid)
    assert len(children) >= 2
    child.kill()
    child.wait()
    while any(is_alive(pid) for pid in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(is_alive(pid) for pid in children)


def workers_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children")
    if not found.exists():
        pytest.skip("needs /proc with the children of processes")
    return [
        int(child)
        for child in found.read_text().split()
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def is_alive(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_a_full_disk_is_said_and_survived(whole: Path, tmp_path: Path) -> None:
    config = tmp_path / "small.yaml"
    scenario = "{name: type1, chains: [1, 2], length: [2, 3], pool: 4}"
    config.write_text(
        f"scenario: {scenario}\nsimulation: {{events: 2e3}}\n"
        f"rows_per_shard: {CONFIG.rows_per_shard}\n"
    )
    sizes = [len(content) for content in shards(whole).values()]
    words = [sys.executable, "-m", "datagen", "generate", str(tmp_path / "set")]
    words += ["--config", str(config), "--num", str(ROWS), "--seed", str(SEED), "--workers", "1"]
    child = subprocess.run(
        words,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (min(sizes) // 2,) * 2),
    )
    assert child.returncode == 2
    assert child.stderr.count("\n") == 1
    assert "part-00000.parquet cannot be written: [Errno 27]" in child.stderr
    assert not (tmp_path / "set").exists()
    subprocess.run([*words, "--resume"], check=True, capture_output=True)
    assert shards(tmp_path / "set") == shards(whole)


def test_one_run_at_a_time(tmp_path: Path) -> None:
    tmp_path.joinpath(LOCK).touch()  # left behind by a run that was killed: no obstacle
    lock = FolderLock(tmp_path)
    with pytest.raises(InvalidInputError, match="out must be written by one run at a time"):
        generate(tmp_path, CONFIG, num=ROWS, seed=SEED, resume=True)
    lock.release()
    generate(tmp_path, CONFIG, num=ROWS, seed=SEED, resume=True)
    assert not (tmp_path / LOCK).exists()


def stopped(folder: Path, after: int) -> None:
    """Leave what a run leaves that is interrupted after some rows."""
    done = []

    def stop(rows: int) -> None:
        done.append(rows)
        if sum(done) > after:
            raise KeyboardInterrupt

    source = ScenarioSource(scenario=CONFIG.scenario, seed=SEED)
    with pytest.raises(KeyboardInterrupt):
        run_campaign(task(source), writer(folder), local(1), CampaignLimits(chunk_rows=4), stop)


def test_leftovers_are_cleared_and_damage_is_mended(whole: Path, tmp_path: Path) -> None:
    stopped(tmp_path, after=14)
    first = tmp_path / "part-00000.parquet"
    first.write_bytes(first.read_bytes()[:-50])
    (tmp_path / "part-00002.parquet.partial").write_bytes(b"half")
    generate(tmp_path, CONFIG, num=ROWS, seed=SEED, resume=True)
    assert shards(tmp_path) == shards(whole)
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("shards", "gone", "shards must be a list"),
        ("shards", ["part-00000.parquet"], r"shards\[0\] must be a mapping"),
        ("shards", [{"file": "../x.parquet"}], r"shards\[0\] must name a file like"),
        ("shards", [{"file": "part-00000.parquet", "rows": "7"}], r"shards\[0\] must hold rows"),
        (
            "shards",
            [{"file": "part-00000.parquet", "rows": 7, "sha256": "", "groups": [3]}],
            r"shards\[0\] must list its row groups",
        ),
        (
            "shards",
            [{"file": "part-00000.parquet", "rows": 7, "sha256": ""}] * 2,
            r"shards\[1\] must name a file of its own",
        ),
        ("rows", "many", "rows must be a whole number"),
        ("labels", {"source": "hearsay"}, "labels.source must be one of simulation"),
        ("labels", {"source": "simulation", "level": 95}, "labels.level must lie in"),
        ("part", [3, 2], "part must hold its number"),
    ],
)
def test_a_damaged_manifest_is_said_to_be(
    tmp_path: Path, key: str, value: object, message: str
) -> None:
    stopped(tmp_path, after=7)
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    before = sorted(file.name for file in tmp_path.iterdir())
    with pytest.raises(CorruptDataError, match=rf"manifest\.json: {message}"):
        generate(tmp_path, CONFIG, num=ROWS, seed=SEED, resume=True)
    with pytest.raises(DatagenError, match=message):
        read_dataset(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == before
