from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datagen.errors import InvalidInputError
from datagen.evaluation import DeploymentBatch, Effect, pack
from datagen.evaluation.loads import chain_load
from datagen.generate import read_config
from datagen.scenarios import SCENARIOS, PlacementScenario, Type1Scenario
from datagen.scenarios.annealing import PlacementTask, annealed, balanced, blocking, scattered
from datagen.store.chainnet import read_chainnet


@pytest.mark.parametrize("name", SCENARIOS)
class TestEveryScenario:
    def test_a_row_depends_on_seed_and_index_alone(self, name: str) -> None:
        scenario = SCENARIOS[name]()
        later_first = [scenario.sample(index, 1) for index in (5, 0)]
        assert later_first == [SCENARIOS[name]().sample(index, 1) for index in (5, 0)]
        assert scenario.sample(0, 1) != scenario.sample(1, 1)
        assert scenario.sample(0, 1) != scenario.sample(0, 2)

    def test_unknown_parameters_are_refused(self, name: str) -> None:
        with pytest.raises(TypeError):
            SCENARIOS[name](chians=(1, 2))  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["type1", "placement", "smoke"])
def test_shipped_configurations_are_whole(repository: Path, name: str) -> None:
    config = read_config(repository / "configs" / "datagen" / f"{name}.yaml")
    assert config.scenario.sample(0, 0).problem.chains
    if name != "smoke":
        # What is shipped is the scenario as documented: its defaults.
        assert config.scenario == SCENARIOS[name]()


def test_type1_stays_in_its_ranges() -> None:
    batch = pack([Type1Scenario().sample(index, 0) for index in range(400)])
    lengths = batch.counts("step")
    assert set(batch.counts("chain")) == {1, 2, 3}
    assert set(lengths) == {2, 3, 4, 5, 6}
    assert set(batch.counts("device")) == set(range(2, 11))
    assert 1 <= batch.device_capacity.min() <= batch.device_capacity.max() <= 50
    assert np.all(batch.step_mean <= 2.0)
    assert 0.1 <= 1 / batch.chain_rate.max() < 1 / batch.chain_rate.min() <= 10.0
    assert not batch.effects.any()
    assert set(batch.step_device_row) == set(range(len(batch.device_speed)))  # all used


def first_public_deployments(folder: Path, count: int, into: Path) -> DeploymentBatch:
    """The first deployments of the public data; all of them take long to read."""
    classes = (folder / "numClasses.txt").read_text().splitlines()[:count]
    lines = {"numClasses": count, "numNodes": count, "capacity": count}
    lines |= dict.fromkeys(("arrival", "path", "service"), sum(map(int, classes)))
    for name, kept in lines.items():
        text = (folder / f"{name}.txt").read_text().splitlines()[:kept]
        (into / f"{name}.txt").write_text("\n".join(text))
    return pack(read_chainnet(into)[0])


def test_type1_is_distributed_like_the_public_data(public_data: Path, tmp_path: Path) -> None:
    public = first_public_deployments(public_data / "chainnet" / "val" / "raw", 1500, tmp_path)
    ours = pack([Type1Scenario().sample(index, 0) for index in range(1500)])
    levels = np.linspace(0.05, 0.95, 10)
    for name, slack in (("chain_rate", 0.1), ("step_mean", 0.05), ("device_capacity", 0.05)):
        a, b = (np.quantile(getattr(batch, name), levels) for batch in (ours, public))
        assert np.max(np.abs(a - b) / np.maximum(b, 0.2)) < slack + 0.05, name
    for level in ("chain", "step", "device"):
        assert ours.counts(level).mean() == pytest.approx(public.counts(level).mean(), rel=0.05)
    assert np.quantile(chain_load(ours), levels) == pytest.approx(
        np.quantile(chain_load(public), levels), rel=0.15
    )


def test_placement_covers_what_searches_visit() -> None:
    deployments = [PlacementScenario().sample(index, 0) for index in range(400)]
    batch = pack(deployments)
    devices, chains = batch.counts("device"), batch.counts("chain")
    assert (devices.min(), chains.min()) == (2, 1)
    assert devices.max() == 60
    assert chains.max() >= 18
    placed = np.zeros(len(batch.device_speed), dtype=np.int64)
    np.add.at(placed, batch.step_device_row, 1)
    assert placed.max() <= 12
    effects = batch.effects
    assert 0.2 < (effects & int(Effect.REVISIT) > 0).mean() < 0.95
    assert 0.08 < (effects & int(Effect.RANDOM_SERVICE) > 0).mean() < 0.22
    load = chain_load(batch)
    assert np.quantile(load, 0.1) < 0.15
    assert np.quantile(load, 0.9) > 1.2


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (Type1Scenario, {"chains": (0, 3)}, "chains must be finite, ordered and >= 1"),
        (Type1Scenario, {"chains": (3, 1)}, "chains must be finite, ordered"),
        (Type1Scenario, {"chains": (1.5, 3)}, "chains must hold whole numbers"),
        (Type1Scenario, {"chains": (1, 2, 3)}, "chains must hold a lowest and a highest"),
        (Type1Scenario, {"length": (2, 20)}, "length must be at most pool=10"),
        (Type1Scenario, {"interarrival": (0, 1)}, "interarrival must be > 0"),
        (Type1Scenario, {"pool": 0}, "pool must be >= 1"),
        (PlacementScenario, {"speed": (0, 1)}, "speed must be > 0"),
        (PlacementScenario, {"random_service": 1.5}, r"random_service must lie in \[0, 1\]"),
        (PlacementScenario, {"devices": (1, 2)}, "devices must have room for 160 fragments"),
        (PlacementScenario, {"rate_spread": 0.5}, "rate_spread must be >= 1"),
    ],
)
def test_bad_parameters_are_refused(cls: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        cls(**fields)


def task(rng: np.random.Generator) -> PlacementTask:
    return PlacementTask(
        rate=rng.uniform(0.5, 2, 24),
        work=rng.uniform(0.05, 0.3, 24),
        speed=rng.uniform(0.5, 2, 6),
        capacity=rng.integers(2, 20, 6),
        most_per_device=5,
    )


def lost(given: PlacementTask, hosts: np.ndarray) -> float:
    devices = len(given.speed)
    jobs = np.bincount(hosts, given.rate, devices)
    load = np.bincount(hosts, given.rate * given.work, devices) / given.speed
    return sum(n * blocking(a, int(k)) for n, a, k in zip(jobs, load, given.capacity, strict=True))


def test_each_way_to_place_is_better_than_the_one_before() -> None:
    rng = np.random.default_rng(0)
    tasks = [task(rng) for _ in range(40)]
    scores = {
        "scattered": np.mean([lost(t, scattered(t, rng)) for t in tasks]),
        "short": np.mean([lost(t, annealed(t, rng, 50)) for t in tasks]),
        "long": np.mean([lost(t, annealed(t, rng, 2000)) for t in tasks]),
        "balanced": np.mean([lost(t, balanced(t, rng)) for t in tasks]),
    }
    assert scores["scattered"] > scores["short"] > scores["long"]
    assert scores["scattered"] > scores["balanced"]
    for placer in (scattered, balanced):
        assert np.bincount(placer(tasks[0], rng)).max() <= 5


@pytest.mark.parametrize(
    ("load", "capacity", "loss"),
    [(0.0, 3, 0.0), (0.5, 1, 1 / 3), (1.0, 3, 0.25), (2.0, 3, 8 / 15), (1e9, 50, 1.0)],
)
def test_blocking_is_that_of_mm1k(load: float, capacity: int, loss: float) -> None:
    assert blocking(load, capacity) == pytest.approx(loss)
