"""Draws belong to jobs: they depend on nothing but the seed, the problem and the job."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from datagen.arrivals import (
    Arrivals,
    MarkovArrivals,
    MarkovModulated,
    Periodic,
    PiecewisePoisson,
    Poisson,
    Recorded,
    Renewal,
)
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Problem
from datagen.distributions import (
    Deterministic,
    Empirical,
    Erlang,
    Exponential,
    Gamma,
    HyperExponential,
    Law,
    LogNormal,
    Uniform,
)
from datagen.errors import NotSupportedError
from datagen.evaluation import DeploymentBatch, pack
from datagen.exits import ExitMix, ExitTrace, Thresholds
from datagen.simulator.network import networks
from datagen.simulator.numba_engine import NumbaEngine
from datagen.simulator.randomness import STREAM_KINDS, ChainDraws, Chunk, StepLaws, stream
from datagen.simulator.sources import chain_draws
from datagen.simulator.tally import RunLength
from tests.datagen.simulator.systems import same_bits

PROCESSES = (
    Poisson(rate=2.0),
    Renewal(mean=0.5, scv=0.3),
    Renewal(mean=0.5, scv=4.0),
    Periodic(period=0.5),
    Periodic(period=0.5, jitter=0.3),
    MarkovModulated(rates=(4.0, 1.0), switch=(0.5, 0.3)),
    # The last phase is passed in silence; arrivals lead from the first to the second.
    MarkovArrivals(
        d0=((-3.0, 1.0, 0.0), (0.0, -2.0, 2.0), (4.0, 0.0, -4.0)),
        d1=((0.0, 2.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    ),
    PiecewisePoisson(times=(0.0, 1.0, 2.0, 40.0), rates=(5.0, 0.0, 3.0, 2.0)),
    Recorded(timestamps=(0.1, 0.1, 0.5, 2.0)),
)
LAWS = (
    Deterministic(mean=0.3),
    Exponential(mean=0.3),
    Gamma(mean=0.3, scv=2.0),
    Erlang(mean=0.3, stages=3),
    HyperExponential(mean=0.3, scv=4.0),
    LogNormal(mean=0.3, scv=1.0),
    Uniform(low=0.1, high=0.5),
    Empirical(values=(0.1, 0.2, 0.9)),
)
JOBS = 1000


def step_laws(steps: list[list[tuple[Law, float]]]) -> StepLaws:
    """The laws of a chain: per step, per fragment of it, the law and the divisor."""
    parts = [(step, *part) for step, own in enumerate(steps) for part in own]
    fixed = [sum(law.mean / speed for law, speed in own if not law.is_random) for own in steps]
    random = [(number, *part) for number, part in enumerate(parts) if part[1].is_random]
    return StepLaws(np.array(fixed, dtype=float), random)


def source(process: Arrivals, law: Law, **key: int) -> ChainDraws:
    key = {"seed": 1, "problem": 2, "replication": 3, "chain": 0} | key
    parts = [[(law, 1.5)], [(law, 1.0), (Exponential(mean=0.1), 1.0)]]
    return ChainDraws(process, step_laws(parts), **key)


def joined(draws: ChainDraws, sizes: list[int]) -> Chunk:
    chunks = [draws.next_chunk(size) for size in sizes]
    return Chunk(
        arrivals=np.concatenate([chunk.arrivals for chunk in chunks]),
        service=np.concatenate([chunk.service for chunk in chunks], axis=1),
    )


def same(one: Chunk, other: Chunk) -> bool:
    arrivals = one.arrivals.tobytes() == other.arrivals.tobytes()
    return arrivals and one.service.tobytes() == other.service.tobytes()


def problem(rate: float = 1.0) -> Problem:
    work = (Exponential(mean=0.5), LogNormal(mean=0.3, scv=2.0), Uniform(low=0.1, high=0.3))
    fragments = tuple(Fragment(name=f"f{k}", service=law) for k, law in enumerate(work))
    chains = tuple(
        Chain(name=name, arrivals=Poisson(rate=rate), fragments=fragments) for name in ("x", "y")
    )
    devices = (Device(name="a", capacity=4), Device(name="b", capacity=4, speed=0.5))
    return Problem(devices=devices, chains=chains)


def draws_of(batch: DeploymentBatch, index: int = 0) -> list[Chunk]:
    return [one.next_chunk(100) for one in chain_draws(batch, index, seed=5, replication=1)]


@pytest.mark.parametrize(
    ("process", "law"),
    list(zip(PROCESSES, itertools.cycle(LAWS), strict=False)),
    ids=lambda item: item.name,
)
@pytest.mark.parametrize(
    "sizes",
    [[1] * JOBS, [7] * 142 + [6], [64] * 15 + [40], [1, 2, 3, 500, 494], [999, 1]],
    ids=lambda sizes: f"{len(sizes)}-chunks",
)
def test_chunks_do_not_matter(process: Arrivals, law: Law, sizes: list[int]) -> None:
    whole = source(process, law).next_chunk(JOBS)
    assert same(joined(source(process, law), sizes), whole)


@pytest.mark.parametrize("process", PROCESSES, ids=repr)
def test_arrivals_have_their_rate_and_scv(process: Arrivals) -> None:
    times = source(process, LAWS[0]).next_chunk(200_000).arrivals
    gaps = np.diff(times)
    assert (gaps >= 0).all()
    assert times[0] > 0
    # Six standard errors of gaps with SCV 4, and somewhat more for their variance.
    assert gaps.mean() == pytest.approx(1.0 / process.rate, rel=0.03)
    assert gaps.var() / gaps.mean() ** 2 == pytest.approx(process.scv, rel=0.1, abs=1e-9)


def test_deterministic_laws_add_up_without_a_draw() -> None:
    parts = [[(Deterministic(mean=0.3), 1.5), (Deterministic(mean=0.4), 2.0)]]
    draws = ChainDraws(
        Poisson(rate=1.0), step_laws(parts), seed=1, problem=2, replication=3, chain=0
    )
    assert draws._uniforms == {}
    chunk = draws.next_chunk(10)
    assert chunk.is_fixed
    assert chunk.service.tolist() == [[0.3 / 1.5 + 0.4 / 2.0]]


def test_one_random_fragment_makes_the_service_of_a_chain_random() -> None:
    parts = [[(Deterministic(mean=0.3), 1.0)], [(Exponential(mean=0.4), 2.0)]]
    draws = ChainDraws(
        Poisson(rate=1.0), step_laws(parts), seed=1, problem=2, replication=3, chain=0
    )
    first, second = draws.next_chunk(10), draws.next_chunk(10)
    assert not first.is_fixed
    assert np.unique(first.service[0]).tolist() == [0.3]
    assert len(np.unique([first.service[1], second.service[1]])) == 20


def test_periodic_streams_have_no_common_phase() -> None:
    first = [source(PROCESSES[3], LAWS[0], chain=c).next_chunk(1).arrivals[0] for c in range(50)]
    assert len(set(first)) == 50
    assert 0 < min(first) < 0.1 < 0.4 < max(first) < 0.5


def test_a_process_that_nobody_draws_is_refused() -> None:
    class Other(Arrivals):
        name = "other"
        rate = 1.0  # type: ignore[assignment]
        scv = 1.0  # type: ignore[assignment]

        def parameters(self) -> tuple[float, ...]:
            return ()

    with pytest.raises(NotSupportedError, match="arrivals=other"):
        source(Other(), LAWS[0])


def test_a_recording_is_played_as_it_is_and_again() -> None:
    process = Recorded(timestamps=(0.1, 0.1, 0.5, 2.0))
    times = source(process, LAWS[0]).next_chunk(9).arrivals
    assert times.tolist() == [0.1, 0.1, 0.5, 2.0, 2.1, 2.1, 2.5, 4.0, 4.1]


def test_a_schedule_of_rates_is_followed() -> None:
    process = PiecewisePoisson(times=(0.0, 1000.0, 2000.0, 3000.0), rates=(20.0, 0.0, 5.0, 40.0))
    times = source(process, LAWS[0]).next_chunk(60_000).arrivals
    counts, _ = np.histogram(times, bins=[0.0, 1000.0, 2000.0, 3000.0, 3500.0])
    expected = np.array([20_000, 0, 5_000, 20_000])
    assert (np.abs(counts - expected) <= 4 * np.sqrt(expected)).all()
    early = np.diff(times[times < 1000.0])
    assert early.var() / early.mean() ** 2 == pytest.approx(1.0, rel=0.1)


def test_bursts_come_together() -> None:
    # Counts in windows longer than the phases: their index of dispersion tells MMPP from Poisson.
    rates, switch = (4.0, 1.0), (0.5, 0.3)
    times = source(MarkovModulated(rates=rates, switch=switch), LAWS[0]).next_chunk(400_000)
    counts, _ = np.histogram(times.arrivals, bins=np.arange(0.0, times.arrivals[-1], 50.0))
    total = sum(switch)
    share = np.array([switch[1], switch[0]]) / total
    rate = share @ np.array(rates)
    # Fischer and Meier-Hellstern, The MMPP cookbook (1993): the limit, and its first correction.
    limit = 2.0 * (rates[0] - rates[1]) ** 2 * share.prod() / (total * rate)
    exact = 1.0 + limit * (1.0 - (1.0 - np.exp(-total * 50.0)) / (total * 50.0))
    assert counts.var() / counts.mean() == pytest.approx(exact, rel=0.06)


def test_every_part_of_the_key_makes_another_stream() -> None:
    base = {"seed": 1, "problem": 2, "replication": 3, "kind": "service", "chain": 4, "fragment": 5}
    keys = [base] + [base | {name: 77} for name in base if name != "kind"]
    keys += [base | {"kind": kind} for kind in STREAM_KINDS if kind != "service"]
    # And none is another with two parts exchanged.
    keys += [base | {"chain": 5, "fragment": 4}, base | {"problem": 3, "replication": 2}]
    first = {tuple(stream(**key).random(4)) for key in keys}
    assert len(first) == len(keys)


def test_a_stream_is_a_function_of_its_key() -> None:
    one, other = (stream(1, 2, 3, "arrivals", 4).random(9) for _ in range(2))
    assert one.tobytes() == other.tobytes()


def test_codes_of_kinds_are_stored_in_no_other_order() -> None:
    assert list(STREAM_KINDS.values()) == list(range(len(STREAM_KINDS)))
    assert list(STREAM_KINDS)[:4] == ["scenario", "arrivals", "service", "exits"]


def test_placement_does_not_change_draws() -> None:
    base = Deployment(
        problem=problem(), placement={"x": (("a",) * 3,), "y": (("a",) * 3,)}, fuse=False
    )
    moved = replace(base, placement={"x": (("b", "a", "b"),), "y": (("a", "b", "b"),)})
    speeds = {"x": [0.5, 1.0, 0.5], "y": [1.0, 0.5, 0.5]}
    for one, other, speed in zip(
        draws_of(pack([base])), draws_of(pack([moved])), speeds.values(), strict=True
    ):
        assert one.arrivals.tobytes() == other.arrivals.tobytes()
        assert np.array_equal(one.service / np.array(speed)[:, None], other.service)


def test_fusing_adds_up_the_same_draws() -> None:
    apart = Deployment(
        problem=problem(), placement={"x": (("a", "a", "b"),), "y": (("a",) * 3,)}, fuse=False
    )
    together = replace(apart, fuse=True)
    for one, other, starts in zip(
        draws_of(pack([apart])), draws_of(pack([together])), ([0, 2], [0]), strict=True
    ):
        assert one.arrivals.tobytes() == other.arrivals.tobytes()
        added = np.add.reduceat(one.service, starts, axis=0)
        np.testing.assert_allclose(other.service, added, rtol=1e-15)


def test_paths_share_the_draws_of_a_fragment() -> None:
    one = Deployment(
        problem=problem(), placement={"x": (("a", "b", "a"),), "y": (("a", "b", "a"),)}
    )
    paths = (("b", "b", "b"), ("a", "b", "a"))
    two = replace(one, placement={"x": paths, "y": paths}, routing=dict.fromkeys("xy", (0.5, 0.5)))
    for alone, among in zip(draws_of(pack([one])), draws_of(pack([two])), strict=True):
        assert alone.arrivals.tobytes() == among.arrivals.tobytes()
        assert alone.service.tobytes() == among.service[1:].tobytes()
        assert alone.route is None
        assert 0.2 < among.route.mean() < 0.8


def leaving(fuse: bool, placement: tuple[str, ...] = ("a", "a", "b")) -> Deployment:
    """Two open classifiers, the first random; 30 % and 20 % leave there."""
    heads = (Exit(head=Exponential(mean=0.2)), Exit(head=Deterministic(mean=0.1)), None)
    base = problem()
    fragments = tuple(
        replace(fragment, exit=head)
        for fragment, head in zip(base.chains[0].fragments, heads, strict=True)
    )
    chains = (replace(base.chains[0], fragments=fragments), base.chains[1])
    return Deployment(
        problem=replace(base, chains=chains),
        placement={"x": (placement,), "y": (("a", "b", "a"),)},
        exits={"x": ExitMix(p=(0.3, 0.2, 0.5), accuracy=(0.5, 0.75, 1.0))},
        fuse=fuse,
    )


def test_a_job_works_up_to_its_exit() -> None:
    # The same job without fusing and without exits: its works and heads add up by its exit.
    together, _ = draws_of(pack([leaving(True)]))
    apart, _ = draws_of(pack([leaving(False)]))
    none, _ = draws_of(pack([replace(leaving(False), exits=None)]))
    assert together.route.tolist() == apart.route.tolist()
    assert set(together.route.tolist()) == {0, 1, 2}
    assert none.route is None
    heads = apart.service[0] - none.service[0], apart.service[1] - none.service[1]
    assert (heads[0] > 0).all()
    later = together.route > 0
    assert heads[1][later] == pytest.approx(0.1)
    assert (apart.service[1][~later] == 0).all()
    assert np.array_equal(apart.service[2], np.where(together.route == 2, none.service[2], 0.0))
    np.testing.assert_allclose(together.service[0], apart.service[:2].sum(axis=0), rtol=1e-15)
    assert together.service[1].tolist() == apart.service[2].tolist()


@pytest.mark.parametrize("fuse", [True, False])
@pytest.mark.parametrize("placement", [("a", "a", "b"), ("b", "a", "a"), ("a", "a", "a")])
def test_moments_of_steps_are_those_of_the_jobs_that_come(
    fuse: bool, placement: tuple[str, ...]
) -> None:
    batch = pack([leaving(fuse, placement)])
    network = networks(batch, "test")[0]
    chunk = chain_draws(batch, 0, seed=5, replication=1)[0].next_chunk(400_000)
    steps = network.features.route_steps[chunk.route]
    for step in range(int(batch.counts("step")[0])):
        comes = steps > step
        service = chunk.service[step, comes]
        assert comes.mean() == pytest.approx(batch.step_reached[step], abs=0.004)
        assert service.mean() == pytest.approx(batch.step_mean[step], rel=0.01)
        scv = service.var() / service.mean() ** 2
        assert scv == pytest.approx(batch.step_scv[step], rel=0.03)


def test_a_job_leaves_where_its_sample_is_sure_enough() -> None:
    # Three samples and a closed second classifier: it is not computed and nobody leaves there.
    trace = ExitTrace(
        name="t",
        confidences=np.array([[0.9, 0.1, 0.2], [0.5, 1.0, 0.3], [0.4, 0.9, 0.8]]),
        correct=np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=bool),
    )
    base = leaving(False)
    chains = (replace(base.problem.chains[0], trace="t"), base.problem.chains[1])
    traced = replace(base.problem, chains=chains, traces=(trace,))
    routes = {}
    for taus in ((0.5, 1.5), (0.8, 1.5), (2.0, 0.9)):
        exits = {"x": Thresholds(tau=taus)}
        batch = pack([replace(base, problem=traced, exits=exits)])
        drawn = chain_draws(batch, 0, seed=5, replication=1)[0].next_chunk(3000)
        routes[taus] = drawn
        shares = np.bincount(drawn.route, minlength=6) / 3000
        assert shares == pytest.approx(batch.exit_probability, abs=0.04)
        assert batch.exit_accuracy.tolist() == [0.0, 1.0] * 3
    none = chain_draws(pack([replace(base, exits=None)]), 0, seed=5, replication=1)[0]
    works = none.next_chunk(3000).service
    # Samples 0, 1, 2 lead to: exit 0 right, exit 0 wrong, end right; then end wrong for sample 1.
    assert set(routes[0.5, 1.5].route) == {1, 0, 5}
    assert set(routes[0.8, 1.5].route) == {1, 4, 5}
    assert set(routes[2.0, 0.9].route) == {4, 3, 2}
    same_sample = routes[0.5, 1.5].route == 1
    assert (routes[0.8, 1.5].route[same_sample] == 1).all()
    assert (routes[2.0, 0.9].route[same_sample] == 4).all()
    stays = routes[0.5, 1.5].route == 5
    assert np.array_equal(routes[0.5, 1.5].service[1][stays], works[1][stays])
    assert np.array_equal(routes[2.0, 0.9].service[0], works[0])
    np.testing.assert_allclose(routes[2.0, 0.9].service[1], works[1] + 0.1, rtol=1e-14)


def test_chunks_of_routes_do_not_matter() -> None:
    paths = (("b", "b", "b"), ("a", "b", "a"), ("a", "a", "a"))
    routing = {"x": (0.2, 0.5, 0.3), "y": (0.0, 1.0, 0.0)}
    deployment = Deployment(problem=problem(), placement={"x": paths, "y": paths}, routing=routing)
    whole = chain_draws(pack([deployment]), 0, seed=5, replication=1)
    parts = chain_draws(pack([deployment]), 0, seed=5, replication=1)
    for one, other in zip(whole, parts, strict=True):
        chunk = one.next_chunk(1000)
        pieces = [other.next_chunk(size) for size in (1, 2, 64, 933)]
        for name in ("arrivals", "service", "route"):
            joint = np.concatenate([getattr(piece, name) for piece in pieces], axis=-1)
            assert joint.tobytes() == getattr(chunk, name).tobytes()
    counts = np.bincount(whole[1].next_chunk(100).route, minlength=3)
    assert counts.tolist() == [0, 100, 0]


def test_chains_have_streams_of_their_own() -> None:
    placement = {"x": (("a", "b", "a"),), "y": (("a", "b", "a"),)}
    x, y = draws_of(pack([Deployment(problem=problem(), placement=placement)]))
    assert not np.intersect1d(x.arrivals, y.arrivals).size
    assert not np.intersect1d(x.service, y.service).size


def test_the_777th_alone_is_the_777th_of_many() -> None:
    placement = {"x": (("a", "b", "a"),), "y": (("b", "b", "a"),)}
    many = pack([
        Deployment(problem=problem(1.0 + k / 800), placement=placement) for k in range(800)
    ])
    alone = many.select([777])
    again = pack([Deployment(problem=problem(1.0 + 777 / 800), placement=placement)])
    again = again.with_key(np.array([777]))
    first = draws_of(many, 777)
    for batch in (alone, again):
        assert all(itertools.starmap(same, zip(first, draws_of(batch), strict=True)))
    length = RunLength.of(1.0, 50.0)
    runs = [
        NumbaEngine().run(
            networks(batch, "numba")[index],
            chain_draws(batch, index, seed=5, replication=1),
            length,
            log=True,
        )
        for batch, index in ((many, 777), (alone, 0), (again, 0))
    ]
    same_bits(runs[0], runs[1])
    same_bits(runs[0], runs[2])
    other = draws_of(many, 776)
    assert not np.intersect1d(first[0].arrivals, other[0].arrivals).size
