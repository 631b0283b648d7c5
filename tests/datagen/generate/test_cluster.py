"""A Dask cluster on the loopback device: a real scheduler and real worker processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datagen.errors import DatagenError, InvalidInputError
from datagen.generate import CampaignLimits, generate, run_campaign
from datagen.generate.cluster import DaskCluster
from datagen.generate.sources import ScenarioSource
from datagen.store import read_dataset
from tests.conftest import REPOSITORY
from tests.datagen.generate.campaigns import CONFIG, ROWS, SEED, shards, task, writer
from tests.datagen.generate.sources import BadSource

pytest.importorskip("distributed", reason="needs the extra 'dask'")


class Cluster:
    """A scheduler and its workers, each a process of its own.

    Args:
        folder: Where they may write.
        workers: How many workers.
        nanny: Whether a worker that ends is started again.
        deaths: Workers that a chunk may take with it, before the scheduler gives it up.
    """

    def __init__(self, folder: Path, workers: int, *, nanny: bool = False, deaths: int = 3) -> None:
        self.folder = folder
        self.nanny = "--nanny" if nanny else "--no-nanny"
        self.deaths = deaths
        self.file = folder / "scheduler.json"
        words = ["--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self.file)]
        self.scheduler = self.start("dask_scheduler", *words, "--no-dashboard")
        deadline = time.monotonic() + 60
        while not self.file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.address = json.loads(self.file.read_text())["address"]
        self.workers = [self.add_worker() for _ in range(workers)]

    def start(self, module: str, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.{module}", *words],
            cwd=REPOSITORY,
            env=os.environ | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(self.deaths)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def add_worker(self) -> subprocess.Popen[bytes]:
        words = ["--nthreads", "1", "--no-dashboard", self.nanny]
        words += ["--local-directory", str(self.folder), "--host", "127.0.0.1"]
        return self.start("dask_worker", self.address, *words)

    def stop(self) -> None:
        # Asked first: a nanny that is killed would leave its worker behind.
        for process in (*self.workers, self.scheduler):
            process.terminate()
        for process in (*self.workers, self.scheduler):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    running = Cluster(tmp_path_factory.mktemp("cluster"), workers=2)
    yield running
    running.stop()


# The order of the tests is that in which the cluster is worn out: the last one ends its scheduler.


def test_a_cluster_writes_the_same_bytes_though_a_worker_dies(
    cluster: Cluster, whole: Path, tmp_path: Path
) -> None:
    done: list[int] = []

    def kill_one(rows: int) -> None:
        done.append(rows)
        if len(done) == 2:  # the first call says what there was already
            cluster.workers[0].kill()

    limits = CampaignLimits(chunk_rows=2)
    source = ScenarioSource(scenario=CONFIG.scenario, seed=SEED)
    run_campaign(task(source), writer(tmp_path), DaskCluster(cluster.address), limits, kill_one)
    assert cluster.workers[0].wait(10) != 0
    assert cluster.workers[1].poll() is None
    assert shards(tmp_path) == shards(whole)
    manifests = [read_dataset(folder).manifest for folder in (tmp_path, whole)]
    assert manifests[0].pop("run")["executor"] == "dask"
    assert manifests[1].pop("run")["executor"] == "local"
    assert manifests[0] == manifests[1]


def test_a_bad_deployment_ends_nothing(cluster: Cluster, tmp_path: Path) -> None:
    source = BadSource(scenario=CONFIG.scenario, seed=SEED, raising=(4,))
    run_campaign(task(source), writer(tmp_path), DaskCluster(cluster.address))
    dataset = read_dataset(tmp_path)
    assert [row.index for row in dataset.failed] == [4]
    assert len(dataset) == ROWS - 1


def test_a_scheduler_that_goes_is_missed(cluster: Cluster, tmp_path: Path) -> None:
    source = BadSource(scenario=CONFIG.scenario, seed=SEED, hanging=(15,))

    def end(rows: int) -> None:
        if rows == 7:
            cluster.scheduler.kill()

    limits = CampaignLimits(chunk_rows=7)
    with pytest.raises(DatagenError, match=r"the scheduler at .* is gone"):
        run_campaign(task(source), writer(tmp_path), DaskCluster(cluster.address), limits, end)
    assert list(shards(tmp_path)) == ["part-00000.parquet"]


def test_a_deployment_that_takes_too_long_is_given_up_and_its_worker_comes_back(
    whole: Path, tmp_path: Path
) -> None:
    cluster = Cluster(tmp_path, workers=1, nanny=True, deaths=0)
    source = BadSource(scenario=CONFIG.scenario, seed=SEED, hanging=(4,))
    try:
        limits = CampaignLimits(chunk_rows=2)
        executor = DaskCluster(cluster.address, timeout=2.0)
        run_campaign(task(source), writer(tmp_path / "set"), executor, limits)
    finally:
        cluster.stop()
    dataset = read_dataset(tmp_path / "set")
    assert [row.index for row in dataset.failed] == [4]
    assert "died" in dataset.failed[0].error
    assert dataset.keys().tolist() == [row for row in range(ROWS) if row != 4]
    others = [name for name in shards(whole) if name != "part-00000.parquet"]
    assert [shards(tmp_path / "set")[name] for name in others] == [
        shards(whole)[name] for name in others
    ]


def test_an_address_without_a_scheduler_is_refused(tmp_path: Path) -> None:
    nowhere = DaskCluster("tcp://127.0.0.1:9", patience=0.5)
    with pytest.raises(InvalidInputError, match="scheduler must be the address of a running"):
        generate(tmp_path / "set", CONFIG, num=ROWS, seed=SEED, executor=nowhere)
    assert not (tmp_path / "set").exists()
