"""The analytic evaluator: exact where theory is, sane elsewhere, near simulation."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.analytic import md1k, mm1k, mmck
from datagen.analytic.decomposition import AnalyticEvaluator
from datagen.analytic.md1k_table import grid
from datagen.analytic.queue_kernel import loss_and_jobs_of
from datagen.arrivals import Arrivals, Periodic, Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Link, Problem
from datagen.distributions import Deterministic, Exponential, Law
from datagen.errors import InvalidInputError, NotSupportedError
from datagen.evaluation import Measures, concatenate, pack
from datagen.scenarios.type1 import Type1Scenario
from datagen.simulator import simulate

EVALUATOR = AnalyticEvaluator()


def tandem(
    rate: float,
    services: list[Law],
    capacities: list[int | None],
    *,
    servers: int = 1,
    demand: int = 1,
    chains: int = 1,
) -> Deployment:
    """Chains through the same devices, one fragment on each."""
    devices = tuple(
        Device(name=f"d{i}", capacity=k, servers=servers) for i, k in enumerate(capacities)
    )
    fragments = tuple(
        Fragment(name=f"f{i}", service=law, demand=demand) for i, law in enumerate(services)
    )
    given = tuple(
        Chain(name=f"c{c}", arrivals=Poisson(rate=rate / chains), fragments=fragments)
        for c in range(chains)
    )
    path = (tuple(device.name for device in devices),)
    problem = Problem(devices=devices, chains=given)
    return Deployment(problem=problem, placement={chain.name: path for chain in given})


def evaluated(*deployments: Deployment) -> Measures:
    return EVALUATOR.evaluate(list(deployments))


@pytest.mark.parametrize("load", [0.1, 0.7, 1.0, 1.8, 6.0])
@pytest.mark.parametrize("capacity", [1, 2, 10])
def test_one_exponential_device_is_exact(load: float, capacity: int) -> None:
    service = Exponential(mean=0.5)
    measures = evaluated(tandem(load / 0.5, [service], [capacity]))
    exact = mm1k(load / 0.5, 2.0, capacity)
    chain = measures.chain
    assert chain["loss_ratio"][0] == pytest.approx(exact.loss_probability, rel=1e-9)
    assert chain["throughput"][0] == pytest.approx(exact.throughput, rel=1e-9)
    assert chain["latency"][0] == pytest.approx(exact.mean_latency, rel=1e-9)
    assert measures.device["jobs"][0] == pytest.approx(exact.mean_jobs, rel=1e-9)
    assert measures.device["utilization"][0] == pytest.approx(exact.utilization, rel=1e-9)


@pytest.mark.parametrize("load", [0.4, 0.9, 1.0, 2.5])
@pytest.mark.parametrize("capacity", [2, 5, 20])
def test_one_constant_device_is_as_good_as_the_table(load: float, capacity: int) -> None:
    measures = evaluated(tandem(load / 0.5, [Deterministic(mean=0.5)], [capacity]))
    exact = md1k(load / 0.5, 0.5, capacity)
    loss = measures.chain["loss_ratio"][0]
    assert loss == pytest.approx(exact.loss_probability, rel=1e-3, abs=1e-12)
    assert measures.chain["latency"][0] == pytest.approx(exact.mean_latency, rel=2e-3)


def test_several_servers_and_demands() -> None:
    service = Exponential(mean=0.5)
    chain = evaluated(tandem(5.0, [service], [8], servers=3)).chain
    exact = mmck(5.0, 2.0, 3, 8)
    assert chain["loss_ratio"][0] == pytest.approx(exact.loss_probability, rel=1e-9)
    assert chain["latency"][0] == pytest.approx(exact.mean_latency, rel=1e-9)
    in_units = evaluated(tandem(3.0, [service], [12], demand=3)).chain["loss_ratio"][0]
    assert in_units == pytest.approx(mm1k(3.0, 2.0, 4).loss_probability, rel=1e-9)


def test_a_job_too_large_for_its_device_is_lost() -> None:
    measures = evaluated(tandem(1.0, [Exponential(mean=0.5)], [2], demand=3))
    assert measures.chain["loss_ratio"][0] == 1.0
    assert measures.chain["throughput"][0] == 0.0
    assert np.isnan(measures.chain["latency"][0])


def test_an_exponential_tandem_without_loss_is_jackson() -> None:
    services: list[Law] = [Exponential(mean=0.5), Exponential(mean=0.3)]
    chain = evaluated(tandem(1.2, services, [None, None])).chain
    assert chain["throughput_ratio"][0] == pytest.approx(1.0)
    assert chain["latency"][0] == pytest.approx(1 / (2.0 - 1.2) + 1 / (1 / 0.3 - 1.2), rel=1e-9)


def test_flow_is_conserved_and_thinned_along_chains() -> None:
    deployment = tandem(3.0, [Deterministic(mean=0.4)] * 3, [3, 4, 5], chains=2)
    measures = evaluated(deployment)
    chain, device = measures.chain, measures.device
    assert chain["throughput"] == pytest.approx(1.5 * chain["throughput_ratio"])
    assert chain["loss_ratio"] == pytest.approx(1 - chain["throughput_ratio"])
    flow = device["utilization"] / 0.4
    assert (np.diff(flow) <= 1e-9).all()
    assert flow[-1] == pytest.approx(chain["throughput"].sum(), rel=1e-3)
    little = chain["throughput"][0] / 1.5 * chain["latency"][0]
    assert 0 < little <= device["jobs"].sum()


def test_loss_grows_with_rate_and_shrinks_with_capacity() -> None:
    services: list[Law] = [
        Deterministic(mean=0.3),
        Deterministic(mean=0.4),
        Deterministic(mean=0.2),
    ]
    by_rate = [tandem(rate, services, [4, 4, 4]) for rate in np.linspace(0.5, 6.0, 12)]
    loss = evaluated(*by_rate).chain["loss_ratio"]
    assert (np.diff(loss) > 0).all()
    by_capacity = [tandem(2.4, services, [k, k, k]) for k in range(1, 15)]
    loss = evaluated(*by_capacity).chain["loss_ratio"]
    assert (np.diff(loss) < 0).all()
    assert loss[-1] >= 0


def test_a_lightly_loaded_network_agrees_with_simulation() -> None:
    services: list[Law] = [
        Deterministic(mean=0.10),
        Exponential(mean=0.08),
        Deterministic(mean=0.05),
    ]
    deployment = tandem(4.0, services, [4, 4, 4], chains=2)
    simulated = simulate([deployment], events=1e6, seed=3).chain
    chain = evaluated(deployment).chain
    assert chain["throughput_ratio"] == pytest.approx(simulated["throughput_ratio"], rel=0.01)
    assert chain["latency"] == pytest.approx(simulated["latency"], rel=0.08)
    assert chain["latency_ratio"] == pytest.approx(simulated["latency_ratio"], rel=0.08)


def test_a_bottleneck_smooths_what_follows_it() -> None:
    deployment = tandem(4.0, [Deterministic(mean=0.5), Deterministic(mean=0.45)], [3, 3])
    ratio = evaluated(deployment).chain["throughput_ratio"][0]
    # Jobs leave the first device every 0.5 s: the second loses none of them.
    assert ratio == pytest.approx(0.5, abs=0.06)


def constant(*means: float) -> list[Law]:
    return [Deterministic(mean=mean) for mean in means]


def test_nobody_waits_behind_a_slower_constant_service() -> None:
    measures = evaluated(tandem(1.6, constant(0.5, 0.5, 0.2), [4, 4, 2]))
    first = md1k(1.6, 0.5, 4)
    chain = measures.chain
    assert chain["loss_ratio"][0] == pytest.approx(first.loss_probability, rel=2e-3)
    assert chain["latency"][0] == pytest.approx(first.mean_latency + 0.7, rel=0.01)


@pytest.mark.parametrize("load", [0.1, 0.3, 0.7, 0.9, 0.97])
@pytest.mark.parametrize("means", [(0.4, 0.5), (0.5, 0.4), (0.3, 0.1, 0.5, 0.2, 0.45)])
def test_a_line_of_constant_services_waits_as_long_as_its_slowest(
    load: float, means: tuple[float, ...]
) -> None:
    """Friedman's reduction: the slowest device alone, of 0.5 s, makes jobs wait as long."""
    rate = load / 0.5
    latency = evaluated(tandem(rate, constant(*means), [None] * len(means))).chain["latency"][0]
    wait = rate * 0.5**2 / (2.0 * (1.0 - load))
    assert latency - sum(means) == pytest.approx(wait, rel=0.06)


@pytest.mark.parametrize("load", [0.5, 0.9])
def test_periodic_arrivals_wait_as_little_as_in_d_m_1(load: float) -> None:
    fragment = Fragment(name="f", service=Exponential(mean=load))
    chain = Chain(name="c", arrivals=Periodic(period=1.0), fragments=(fragment,))
    problem = Problem(devices=(Device(name="d"),), chains=(chain,))
    latency = evaluated(Deployment(problem=problem, placement={"c": (("d",),)})).chain["latency"]
    # D/M/1: a job finds n others with probability (1 - x) x^n, where x = exp(-(1 - x) / load).
    found = 0.5
    for _ in range(500):
        found = np.exp(-(1.0 - found) / load)
    assert latency[0] == pytest.approx(load / (1.0 - found), rel=0.03)


def test_chains_of_the_public_kind_agree_with_simulation() -> None:
    """Many-step chains with constant service at all loads: where the four rules count."""
    source = Type1Scenario()
    drawn = [source.draw(np.random.default_rng([3, number])) for number in range(40)]
    simulated = simulate(drawn, events=2e5, seed=1).chain
    chain = evaluated(*drawn).chain
    for name, median, mean in (("throughput_ratio", 0.002, 0.02), ("latency_ratio", 0.025, 0.03)):
        off = np.abs(chain[name] - simulated[name])
        assert np.median(off) < median
        assert np.mean(off) < mean


@pytest.mark.parametrize("servers", [1, 3])
def test_smooth_arrivals_change_nothing_without_room_to_wait(servers: int) -> None:
    smooth, poisson = (
        loss_and_jobs_of(0.8, scv, float(servers), float(servers), grid()) for scv in (-0.9, 0.0)
    )
    assert smooth == pytest.approx(poisson, rel=1e-9)


def test_the_smaller_the_sum_of_variabilities_the_less_is_lost_and_waits() -> None:
    found = [loss_and_jobs_of(0.9, scv, 6.0, 1.0, grid()) for scv in (-0.98, -0.5, -1e-9, 0.0, 0.5)]
    loss, jobs = np.array(found).T
    assert (np.diff(loss) >= 0).all()
    assert (np.diff(jobs) >= 0).all()
    assert loss[0] < 1e-9 < loss[-1]
    # Without variability only the job in service is there.
    assert jobs[0] == pytest.approx(0.9, abs=0.1)
    assert found[2] == pytest.approx(found[3], rel=1e-6)


def test_jobs_of_one_origin_wait_less_for_each_other() -> None:
    """Two chains meet at the last device, after one device or after one of their own."""

    def wait(second_origin: str) -> float:
        devices = tuple(Device(name=name) for name in ("a", "b", "last"))
        fragments = tuple(
            Fragment(name=f"f{k}", service=law) for k, law in enumerate(constant(0.5, 0.6))
        )
        chains = tuple(
            Chain(name=name, arrivals=Poisson(rate=0.2), fragments=fragments) for name in "xy"
        )
        deployment = Deployment(
            problem=Problem(devices=devices, chains=chains),
            placement={"x": (("a", "last"),), "y": ((second_origin, "last"),)},
        )
        return float(evaluated(deployment).step["sojourn"][-1]) - 0.6

    assert wait("a") < 0.8 * wait("b")


def test_periodic_arrivals_are_lost_less_than_random_ones() -> None:
    fragment = Fragment(name="f", service=Exponential(mean=0.7))

    def lost(arrivals: Arrivals) -> float:
        chain = Chain(name="c", arrivals=arrivals, fragments=(fragment,))
        problem = Problem(devices=(Device(name="d", capacity=4),), chains=(chain,))
        return float(
            evaluated(Deployment(problem=problem, placement={"c": (("d",),)})).chain["loss_ratio"][
                0
            ]
        )

    # D/M/1/4 loses 1.64 % by its embedded Markov chain; M/M/1/4 loses 8.66 %.
    assert lost(Periodic(period=1.0)) == pytest.approx(0.0164, abs=0.01)
    assert lost(Poisson(rate=1.0)) == pytest.approx(mm1k(1.0, 1 / 0.7, 4).loss_probability)


def test_loops_settle() -> None:
    """Two overloaded devices that feed each other must not alternate for ever."""
    law = Deterministic(mean=1.0)
    fragments = tuple(Fragment(name=f"f{j}", service=law) for j in range(6))
    chains = tuple(
        Chain(name=name, arrivals=Poisson(rate=2.0), fragments=fragments) for name in "ab"
    )
    problem = Problem(
        devices=(Device(name="x", capacity=2), Device(name="y", capacity=2)), chains=chains
    )
    placement = {"a": (("x", "y") * 3,), "b": (("y", "x") * 3,)}
    deployment = Deployment(problem=problem, placement=placement)
    settled = AnalyticEvaluator(rounds=200).evaluate([deployment]).chain["throughput"]
    assert evaluated(deployment).chain["throughput"] == pytest.approx(settled, abs=5e-3)
    assert settled[0] == pytest.approx(settled[1], rel=1e-6)


def test_deployments_do_not_depend_on_their_neighbours() -> None:
    calm = tandem(0.5, [Deterministic(mean=0.3)] * 2, [5, 5])
    wild = tandem(9.0, [Deterministic(mean=0.9)] * 4, [2, 9, 2, 9], chains=3)
    together = EVALUATOR.evaluate(concatenate([pack([calm]), pack([wild])]))
    alone = [evaluated(calm), evaluated(wild)]
    for name in ("throughput_ratio", "latency"):
        apart = np.concatenate([measures.chain[name] for measures in alone])
        assert together.chain[name] == pytest.approx(apart, rel=1e-9)


def test_no_steady_state_is_unknown_and_said() -> None:
    measures = evaluated(
        tandem(3.0, [Deterministic(mean=0.5)], [None]),
        tandem(1.0, [Deterministic(mean=0.5)], [None]),
    )
    assert measures.deployment["unstable"].tolist() == [True, False]
    assert np.isnan(measures.deployment["loss_ratio"]).tolist() == [True, False]
    assert np.isnan(measures.chain["latency"]).tolist() == [True, False]
    assert measures[0].reason == "an unlimited buffer has load >= 1"
    assert measures[1].reason is None


def test_what_is_not_covered_is_refused_by_name() -> None:
    plain = tandem(1.0, [Deterministic(mean=0.5)] * 2, [3, 3])
    link = Link(source="d0", target="d1", bandwidth=1e6)
    linked = Problem(devices=plain.problem.devices, chains=plain.problem.chains, links=(link,))
    with pytest.raises(NotSupportedError, match="links"):
        evaluated(Deployment(problem=linked, placement=plain.placement))
    with pytest.raises(InvalidInputError, match="rounds must be >= 1"):
        AnalyticEvaluator(rounds=0)
