"""Links that queue or ask for room ahead: what happens when; the readable engine alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Fragment, Link, Problem
from datagen.distributions import Deterministic, Exponential
from datagen.errors import NotSupportedError
from datagen.evaluation import pack
from datagen.simulator import simulate
from datagen.simulator.contention import NO_LINK, Contention
from datagen.simulator.event_log import ARRIVED, ASKED, LOST, MOVED
from datagen.simulator.network import Network, networks
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.simulation import engine_named
from datagen.simulator.sources import chain_draws
from datagen.simulator.tally import RunLength
from tests.datagen.simulator.contended import linked
from tests.datagen.simulator.systems import KINDS, FixedDraws, network_of, trace
from tests.datagen.simulator.test_engines_agree import SEEDS
from tests.datagen.simulator.test_semantics import INF, play

ENGINE = SimpyEngine()
NAMES = KINDS | {ASKED: "asked"}


def linked_network(*, queues: bool, asks: bool, blocks: bool = False, **given: Any) -> Network:
    """Devices of two servers and one server, joined by a link of 2 s."""
    devices = given.pop("devices", [(2, INF), (1, 1)])
    network = network_of(devices, [[0, 1]], delays=[[2.0, 0.0]], **given)
    contention = Contention(
        blocks=blocks,
        parallel=np.array([False]),
        step_link=np.array([0 if queues else NO_LINK, NO_LINK]),
        step_asks=np.array([asks, False]),
    )
    return network._replace(contention=contention)


@pytest.fixture(autouse=True)
def all_kinds_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, ASKED, "asked")


def test_transfers_queue_for_the_link() -> None:
    # Both are served at 2; one is sent from 2 to 4, the other from 4 to 6.
    network = linked_network(queues=True, asks=False)
    run = play(ENGINE, network, [FixedDraws([1.0, 1.0], [[1.0, 1.0]] * 2)])
    assert trace(run)[2:] == [
        (2.0, "finished", 0, 0, 0, "moved"),
        (2.0, "finished", 0, 1, 0, "moved"),
        (4.0, "sent", 0, 0, 0, "moved"),
        (4.0, "arrived", 0, 0, 1, "started"),
        (5.0, "finished", 0, 0, 1, "left"),
        (6.0, "sent", 0, 1, 0, "moved"),
        (6.0, "arrived", 0, 1, 1, "started"),
        (7.0, "finished", 0, 1, 1, "left"),
    ]
    assert run.tally.units.tolist() == [3.0 + 5.0, 2.0]


def test_units_may_be_free_when_the_link_starts() -> None:
    network = linked_network(queues=True, asks=False, held=False)
    run = play(ENGINE, network, [FixedDraws([1.0, 1.0], [[1.0, 1.0]] * 2)])
    # One leaves at 2, the other when the link is free, at 4.
    assert run.tally.units.tolist() == [1.0 + 3.0, 2.0]
    assert run.tally.latency.sum() == 4.0 + 6.0


def test_room_is_asked_for_before_a_transfer() -> None:
    # Job 0 has the only place of device 1 from 2 on; job 1 does not get it at 3, and is lost there,
    # not after 2 s of travel. At 6 the place is free again.
    network = linked_network(queues=False, asks=True)
    run = play(ENGINE, network, [FixedDraws([1.0, 2.0, 5.5], [[1.0, 2.0]] * 3)])
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (2.0, "finished", 0, 0, 0, "moved"),
        (2.0, "asked", 0, 0, 1, "moved"),
        (2.0, "arrived", 0, 1, 0, "started"),
        (3.0, "finished", 0, 1, 0, "moved"),
        (3.0, "asked", 0, 1, 1, "lost"),
        (4.0, "sent", 0, 0, 0, "moved"),
        (4.0, "arrived", 0, 0, 1, "started"),
        (5.5, "arrived", 0, 2, 0, "started"),
        (6.0, "finished", 0, 0, 1, "left"),
        (6.5, "finished", 0, 2, 0, "moved"),
        (6.5, "asked", 0, 2, 1, "moved"),
        (8.5, "sent", 0, 2, 0, "moved"),
        (8.5, "arrived", 0, 2, 1, "started"),
        (10.5, "finished", 0, 2, 1, "left"),
    ]
    assert run.tally.step_lost.tolist() == [0, 1]
    assert run.tally.units.tolist() == [3.0 + 1.0 + 3.0, 4.0 + 4.0]
    assert run.tally.jobs.tolist() == [3.0, 4.0]


def test_a_sender_that_blocks_waits_before_it_sends() -> None:
    network = linked_network(queues=False, asks=True, blocks=True, devices=[(1, INF), (1, 1)])
    run = play(ENGINE, network, [FixedDraws([1.0, 2.0], [[1.0, 2.0]] * 2)])
    # Job 1 keeps its server from 3 to 6, when job 0 is done, and is sent until 8.
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "started"),
        (2.0, "finished", 0, 0, 0, "moved"),
        (2.0, "arrived", 0, 1, 0, "started"),
        (3.0, "finished", 0, 1, 0, "moved"),
        (4.0, "sent", 0, 0, 0, "moved"),
        (4.0, "arrived", 0, 0, 1, "started"),
        (6.0, "finished", 0, 0, 1, "left"),
        (8.0, "sent", 0, 1, 0, "moved"),
        (8.0, "arrived", 0, 1, 1, "started"),
        (10.0, "finished", 0, 1, 1, "left"),
    ]
    assert run.tally.busy.tolist() == [2.0, 4.0]
    assert run.tally.jobs.tolist() == [1.0 + 4.0, 4.0]


@settings(max_examples=40)
@given(linked(), SEEDS)
def test_nothing_vanishes(deployment: Deployment, seed: int) -> None:
    batch = pack([deployment])
    network, sources = networks(batch, "simpy")[0], chain_draws(batch, 0, seed=seed, replication=0)
    run = ENGINE.run(network, sources, RunLength.of(5.0, 60.0), log=True)
    tally, log = run.tally, run.log
    assert log is not None
    refused = (log["kind"] == ASKED) & (log["outcome"] == LOST)
    lost = (log["kind"] == ARRIVED) & (log["outcome"] == LOST)
    assert network.contention is None or tally.step_lost.sum() <= (refused | lost).sum()
    if not run.truncated and run.deadlock is None:
        assert np.array_equal(tally.offered, tally.completed + tally.lost)
        assert np.array_equal(tally.step_offered, tally.step_served + tally.step_lost)
    # Whoever got room ahead arrives there, later.
    granted = log[(log["kind"] == ASKED) & (log["outcome"] == MOVED)]
    came = {tuple(row) for row in log[log["kind"] == ARRIVED][["chain", "job", "step"]].tolist()}
    early = log["time"].max() - 20.0
    for row in granted[granted["time"] < early][["chain", "job", "step"]].tolist():
        assert network.contention is not None
        assert tuple(row) in came or network.contention.step_link.max() > NO_LINK


def over_a_link(**options: Any) -> Deployment:
    """One chain over two devices of plenty of servers, joined by a link."""
    fragments = (
        Fragment(name="f0", service=Deterministic(mean=0.1), output=1e6),
        Fragment(name="f1", service=Exponential(mean=0.1)),
    )
    link = Link(source="a", target="b", bandwidth=2e6, **options)
    problem = Problem(
        devices=(Device(name="a", servers=60), Device(name="b", servers=60)),
        chains=(Chain(name="c", arrivals=Poisson(rate=1.0), fragments=fragments),),
        links=(link,),
    )
    return Deployment(problem=problem, placement={"c": (("a", "b"),)})


def test_a_queueing_link_is_a_queue() -> None:
    # Departures of the first device are Poisson, and the link an M/D/1 queue of load 1/2: a wait of
    # 0.5 * 0.5 / (2 * 0.5) s on average.
    chain = simulate([over_a_link(queueing=True)], events=1.5e5, seed=2)[0].chains["c"]
    exact = 0.1 + 0.25 + 0.5 + 0.1
    assert chain.latency_se <= 0.01 * exact
    assert abs(chain.latency - exact) <= 4.0 * chain.latency_se
    assert chain.latency_ratio == pytest.approx(0.7 / chain.latency)


def test_auto_takes_the_engine_that_plays_it_and_the_other_names_it() -> None:
    for options in ({"queueing": True}, {"admission": "before_transfer"}):
        batch = pack([over_a_link(**options)])
        assert isinstance(engine_named("auto", int(batch.effects[0])), SimpyEngine)
        with pytest.raises(NotSupportedError, match=r"numba: links\..*\(engine=simpy plays it\)"):
            simulate(batch, engine="numba", events=1e3)
    plain = pack([over_a_link()])
    assert isinstance(engine_named("auto", int(plain.effects[0])), NumbaEngine)


def test_links_that_send_nothing_are_passed_by() -> None:
    base = over_a_link(queueing=True, admission="before_transfer")
    chain = base.problem.chains[0]
    silent = replace(chain, fragments=tuple(replace(f, output=0.0) for f in chain.fragments))
    batch = pack([replace(base, problem=replace(base.problem, chains=(silent,)))])
    assert (batch.step_link.tolist(), batch.step_asks.tolist()) == ([-1, -1], [0, 0])
    assert pack([base]).step_link.tolist() == [0, -1]
    assert pack([base]).step_asks.tolist() == [1, 0]
