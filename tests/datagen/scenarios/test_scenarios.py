from __future__ import annotations

import re
from dataclasses import fields, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datagen.arrivals import ARRIVAL_NAMES
from datagen.deployment import Chain, Deployment
from datagen.documents import from_json, to_json
from datagen.errors import InvalidInputError
from datagen.evaluation import DeploymentBatch, Effect, pack
from datagen.evaluation.effects import refuse_uncovered
from datagen.evaluation.expanded_deployment import expanded_deployment
from datagen.evaluation.loads import chain_load, offered_load, unstable
from datagen.exits import ExitMix
from datagen.generate import read_config
from datagen.scenarios import (
    SCENARIOS,
    BurstyScenario,
    ContentionScenario,
    EarlyExitScenario,
    MixedScenario,
    PlacementScenario,
    Type1Scenario,
    Type2Scenario,
)
from datagen.scenarios.annealing import PlacementTask, annealed, balanced, blocking, scattered
from datagen.simulator import SimulationOptions, simulate_batch
from datagen.simulator.covered import ENGINE_COVERS
from datagen.simulator.sharing import SHARING_EFFECTS
from datagen.store.chainnet import read_chainnet


@pytest.mark.parametrize("name", SCENARIOS)
class TestEveryScenario:
    def test_a_row_depends_on_seed_and_index_alone(self, name: str) -> None:
        scenario = SCENARIOS[name]()
        later_first = [to_json(scenario.sample(index, 1)) for index in (5, 0)]
        assert later_first == [to_json(SCENARIOS[name]().sample(index, 1)) for index in (5, 0)]
        drawn = {to_json(scenario.sample(index, seed)) for index, seed in ((0, 1), (1, 1), (0, 2))}
        assert len(drawn) == 3

    def test_rows_are_documents_that_both_engines_play(self, name: str) -> None:
        deployments = [SCENARIOS[name]().sample(index, 3) for index in range(60)]
        for deployment in deployments[:10]:
            assert to_json(from_json(to_json(deployment))) == to_json(deployment)
        batch = pack(deployments)
        refuse_uncovered("engines", ENGINE_COVERS, batch.effects)
        assert not unstable(batch).any()
        found = [
            simulate_batch(batch.select([row]), SimulationOptions(engine=engine, events=300))
            for row in range(4)
            for engine in ("numba", "simpy")
        ]
        for fast, readable in zip(found[::2], found[1::2], strict=True):
            assert np.array_equal(fast.chain["offered"], readable.chain["offered"])
            assert np.array_equal(fast.chain["lost"], readable.chain["lost"])

    def test_unknown_parameters_are_refused(self, name: str) -> None:
        with pytest.raises(TypeError):
            SCENARIOS[name](chians=(1, 2))  # type: ignore[call-arg]


@pytest.mark.parametrize("name", SCENARIOS)
def test_what_is_shipped_is_what_is_documented(repository: Path, name: str) -> None:
    folder = repository / "configs" / "datagen"
    text = (folder / f"{name}.yaml").read_text()
    config = read_config(folder / f"{name}.yaml")
    assert config.scenario == SCENARIOS[name]()  # its defaults
    for field in fields(SCENARIOS[name]):  # type: ignore[arg-type]
        assert re.search(rf"^  {field.name}: .*#", text, re.MULTILINE), field.name
    simulation = config.simulation
    assert simulation.counts
    assert simulation.min_offered >= 10_000
    assert simulation.min_completed >= 1_000


def test_losses_of_the_loss_test_are_known(repository: Path) -> None:
    config = read_config(repository / "configs" / "datagen" / "loss_test.yaml")
    assert (config.simulation.min_lost, config.simulation.enough_offered) == (300, 1e7)
    # The rule itself, cut short: tens of losses, or many jobs without.
    options = replace(config.simulation, min_lost=30, enough_offered=1e5, seed=1)
    batch = pack([config.scenario.sample(index, 0) for index in range(12)])
    measures = simulate_batch(batch, options)
    chain = measures.chain
    assert measures.deployment["precise"].all()
    assert np.all((chain["lost"] >= 30) | (chain["offered"] >= 1e5))
    assert np.any(chain["lost"] < 30)
    assert np.any(chain["offered"] < 5e4)
    assert chain["offered"].min() >= 10_000


def test_rows_that_meet_the_cap_say_so(repository: Path) -> None:
    config = read_config(repository / "configs" / "datagen" / "type1.yaml")
    batch = pack([config.scenario.sample(index, 0) for index in range(20)])
    found = simulate_batch(batch, replace(config.simulation, max_events=1.5e5))
    fewest = np.minimum.reduceat(found.chain["offered"], batch.chain_start[:-1])
    few = np.minimum.reduceat(found.chain["completed"], batch.chain_start[:-1])
    precise = found.deployment["precise"].astype(bool)
    assert 0 < precise.sum() < len(precise)
    assert np.array_equal(precise, (fewest >= 10_000) & (few >= 1_000))
    assert np.all(found.deployment["events"] > 0)


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


def test_type2_has_the_published_figures() -> None:
    batch = pack([Type2Scenario().sample(index, 0) for index in range(600)])
    chains, lengths, devices = (batch.counts(level) for level in ("chain", "step", "device"))
    assert set(chains) == set(range(1, 13))
    assert np.mean(chains <= 6) > 0.52  # slightly decreasing
    assert set(lengths) == set(range(2, 13))
    assert lengths.mean() == pytest.approx(7.0, rel=0.02)
    assert devices.mean() == pytest.approx(32, rel=0.08)
    assert 52 <= devices.max() <= 72
    fragments = np.bincount(batch.owner("step"), minlength=len(batch))
    assert (fragments / devices).mean() == pytest.approx(1.25, rel=0.03)
    assert (batch.device_capacity.min(), batch.device_capacity.max()) == (1, 100)
    interarrival = 1 / batch.chain_rate
    assert interarrival.min() == 1.0
    assert np.mean(interarrival <= 1 + 1e-9) == pytest.approx(0.57, abs=0.05)
    assert np.quantile(interarrival, [0.95, 0.99]) == pytest.approx([8.1, 25], rel=0.2)
    assert interarrival.max() < 150
    service = np.add.reduceat(batch.step_mean, batch.step_start[:-1]) / lengths
    assert np.quantile(service, [0.5, 0.99]) == pytest.approx([0.072, 0.71], rel=0.1)
    assert service.min() >= 0.05 - 1e-12
    assert 1.5 < service.max() < 8
    utilization = service / interarrival
    assert np.quantile(utilization, [0.5, 0.99]) == pytest.approx([0.06, 0.62], rel=0.2)


@pytest.mark.slow
def test_type2_loses_as_published() -> None:
    # How often nothing at all is lost depends on the length of a run, which is not published.
    batch = pack([Type2Scenario().sample(index, 0) for index in range(250)])
    loss = simulate_batch(batch, SimulationOptions(offered=2_000)).chain["loss_ratio"]
    assert np.mean(loss > 0.01) == pytest.approx(0.19, abs=0.04)
    assert np.mean(loss > 0.1) == pytest.approx(0.15, abs=0.04)
    assert loss.mean() == pytest.approx(0.067, abs=0.02)


def test_early_exits_are_of_the_order_of_the_published_profile() -> None:
    deployments = [EarlyExitScenario().sample(index, 0) for index in range(200)]
    batch = pack(deployments)
    every = int(Effect.EXITS | Effect.RANDOM_SERVICE)
    assert np.all(batch.effects & every == every)
    assert np.all(batch.effects & int(Effect.REVISIT) == 0)
    for deployment in deployments[:50]:
        for chain in deployment.problem.chains:
            laws = [fragment.service for fragment in chain.fragments]
            assert 0.049 < sum(law.mean for law in laws) < 2.001  # type: ignore[union-attr]
            assert all(0.003 <= law.scv <= 0.1 for law in laws)  # type: ignore[union-attr]
            heads = [f.exit.head.mean for f in chain.fragments[:-1] if f.exit is not None]
            assert len(heads) == len(laws) - 1
            assert all(0.0003 <= mean <= 0.002 for mean in heads)
            mix = deployment.exits[chain.name]  # type: ignore[index]
            assert list(mix.accuracy) == sorted(mix.accuracy)  # type: ignore[union-attr,arg-type]
    # The load factor is the busiest device's load if nobody left early.
    last = [replace(deployment, exits=leaving_last(deployment)) for deployment in deployments]
    load = offered_load(pack(last))
    busiest = np.array([load[a:b].max() for a, b in pairwise(batch.device_start)])
    assert 0.299 < busiest.min() < 0.35
    assert 2.2 < busiest.max() < 2.501


def leaving_last(deployment: Deployment) -> dict[str, ExitMix]:
    """Every classifier computed, and nobody leaves at one."""
    return {
        chain.name: ExitMix(p=(*(0.0,) * (len(chain.fragments) - 1), 1.0))
        for chain in deployment.problem.chains
    }


def test_early_exits_go_two_ways_and_count_bytes() -> None:
    deployments = [EarlyExitScenario().sample(index, 0) for index in range(300)]
    paths = [
        deployment.placement[c.name] for deployment in deployments for c in chains_of(deployment)
    ]
    several = [own for own in paths if len(own) > 1]
    assert 0.35 < len(several) / len(paths) < 0.45
    assert all(own[0][0] == own[1][0] for own in several)  # from one gateway
    batch = pack(deployments)
    in_bytes = (batch.effects & int(Effect.DEMAND)) > 0
    assert 0.33 < in_bytes.mean() < 0.47
    assert batch.step_demand[in_bytes[batch.owner("step")]].min() >= 12_000
    assert np.all(batch.step_demand <= batch.device_capacity[batch.step_device_row])


def chains_of(deployment: Deployment) -> tuple[Chain, ...]:
    return deployment.problem.chains


def test_expanded_early_exits_are_those_of_the_expansion() -> None:
    for index in range(5):
        plain = EarlyExitScenario().sample(index, 4)
        expanded = EarlyExitScenario(expanded=True).sample(index, 4)
        assert expanded == expanded_deployment(plain)
        assert not expanded.exits


def test_bursts_are_bursts() -> None:
    batch = pack([BurstyScenario().sample(index, 0) for index in range(300)])
    assert batch.chain_arrivals is not None
    names = np.array(ARRIVAL_NAMES)[batch.chain_arrivals]
    assert set(names) == {"renewal", "mmpp"}
    assert np.mean(names == "mmpp") == pytest.approx(0.5, abs=0.08)
    assert np.all(batch.chain_scv > 0.999)
    assert np.median(batch.chain_scv) > 2
    assert 1 <= batch.step_scv.min() <= batch.step_scv.max() <= 10.001
    assert 0.1 <= 1 / batch.chain_rate.max() < 1 / batch.chain_rate.min() <= 10.001


def test_mixed_has_every_effect_the_engines_have_but_accelerators_and_contention() -> None:
    batch = pack([MixedScenario().sample(index, 0) for index in range(300)])
    contention = SHARING_EFFECTS | Effect.PARALLEL | Effect.BLOCKING
    wanted = ENGINE_COVERS & ~(Effect.NPU | Effect.BATCHING | contention)
    assert Effect(int(np.bitwise_or.reduce(batch.effects))) == wanted
    for effect in wanted:
        assert 0.04 < np.mean(batch.effects & int(effect) > 0) < 0.8, effect
    assert np.mean(batch.effects == 0) > 0.002  # the plain network is a case like the others
    plain = MixedScenario(effects=0.0)
    assert not (pack([plain.sample(n, 0) for n in range(30)]).effects & ~int(Effect.REVISIT)).any()


def test_contention_has_its_effects_and_plain_networks_beside_them() -> None:
    batch = pack([ContentionScenario().sample(index, 0) for index in range(400)])
    shares = {
        Effect.PROCESSOR_SHARING: 0.4,
        Effect.SPEEDUP: 0.4,
        Effect.PRIORITY: 0.3,
        Effect.PARALLEL: 0.3,
        Effect.BLOCKING: 0.3,
    }
    some = np.zeros(len(batch), dtype=bool)
    for effect, share in shares.items():
        has = batch.effects & int(effect) > 0
        some |= has
        # Of few devices or chains, none may be chosen.
        assert 0.6 * share < has.mean() < share + 0.08, effect
    assert 0.05 < 1.0 - some.mean() < 0.35
    none = dict.fromkeys(("sharing", "cores", "priority", "parallel", "blocking"), 0.0)
    plain = pack([ContentionScenario(**none).sample(n, 0) for n in range(40)])
    every = sum(int(effect) for effect in shares)
    assert not (plain.effects & (every | int(Effect.MULTI_SERVER))).any()


def test_contention_keeps_what_devices_can_do_and_where_jobs_may_wait() -> None:
    crowded = ContentionScenario(cores=1.0, blocking=1.0, slowdown=(0.0, 0.0))
    for index in range(30):
        deployment = crowded.sample(index, 0)
        number = deployment.problem.device_index()
        for device in deployment.problem.devices:
            assert device.capacity is not None
            assert device.capacity >= device.servers
            assert device.speedup in (None, (1.0,) * device.servers)
        for (path,) in deployment.placement.values():
            # One order for all, so that no jobs can wait for each other in a circle.
            assert all(number[a] <= number[b] for a, b in pairwise(path))
    alone = ContentionScenario(cores=0.0, small=1.0).sample(3, 0).problem.devices
    several = ContentionScenario(cores=1.0, small=1.0).sample(3, 0).problem.devices
    assert [d.speed for d in alone] == pytest.approx([d.speed * d.servers for d in several])


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
        (ContentionScenario, {"sharing": 1.5}, r"sharing must lie in \[0, 1\]"),
        (ContentionScenario, {"servers": (1, 4)}, "servers must be finite, ordered and >= 2"),
        (
            ContentionScenario,
            {"slowdown": (-0.1, 0.4)},
            "slowdown must be finite, ordered and >= 0",
        ),
        (ContentionScenario, {"devices": (1, 2)}, "devices must have room for 60 fragments"),
        (Type2Scenario, {"length": (2, 90)}, "length must be at most pool=80"),
        (Type2Scenario, {"decline": 0.1}, "decline must be >= 0 and leave every number"),
        (Type2Scenario, {"service_scv": 0.5}, "service_scv must be finite and >= 1"),
        (Type2Scenario, {"interarrival_mean": 0.0}, "interarrival_mean must be finite and > 0"),
        (EarlyExitScenario, {"length": (1, 3)}, "length must be finite, ordered and >= 2"),
        (EarlyExitScenario, {"accuracy_last": (0.5, 1.5)}, "accuracy_last must be <= 1"),
        (EarlyExitScenario, {"head": (0.0, 1.0)}, "head must be > 0"),
        (BurstyScenario, {"burst_share": (0.1, 1.0)}, "burst_share must be < 1"),
        (BurstyScenario, {"burst_ratio": (1.0, 2.0)}, "burst_ratio must be > 1"),
        (BurstyScenario, {"service_scv": (0.5, 2.0)}, "service_scv must be finite, ordered and >="),
        (MixedScenario, {"effects": 2.0}, r"effects must lie in \[0, 1\]"),
        (MixedScenario, {"devices": (1, 2)}, "devices must be finite, ordered and >= 2"),
        (MixedScenario, {"capacity": (1, 9)}, "capacity must hold the largest demand, 3"),
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
