"""What accelerators decide, worked out by hand; both engines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import pytest

from datagen.deployment import BatchConfig, Deployment, Npu
from datagen.npu import BatchTable
from datagen.simulator.engine import Engine, Run
from datagen.simulator.tally import RunLength
from tests.datagen.simulator.accelerated import one_accelerator
from tests.datagen.simulator.systems import FixedDraws, as_sources, packed, trace

Start = tuple[float, int, list[tuple[int, int]]]

ONE_SEGMENT = [[1.0, 1.5, 2.0]]
FLAT = [[1.0] * 3] * 3


def play(
    engine: Engine,
    deployment: Deployment,
    *arrivals: Sequence[float],
    routes: Sequence[Sequence[int] | None] | None = None,
) -> Run:
    """Play given arrivals of each chain, and perhaps given exits."""
    network, _ = packed(deployment, 0)
    steps = len(deployment.problem.chains[0].fragments)
    draws = [
        FixedDraws(times, [[9.0] * steps] * len(times), exits)
        for times, exits in zip(arrivals, routes or [None] * len(arrivals), strict=True)
    ]
    return engine.run(network, as_sources(draws), RunLength.of(0.0, 100.0), log=True)


def starts(run: Run) -> list[Start]:
    """When batches began which segment with whom: (chain, job)."""
    chosen = [event for event in trace(run) if event[1] == "chosen"]
    return [
        (time, step, [(chain, job) for _, _, chain, job, _, _ in group])
        for (time, step), group in groupby(chosen, key=lambda event: (event[0], event[4]))
    ]


def of_one(run: Run) -> list[tuple[float, int, list[int]]]:
    """The same where there is one chain."""
    return [(time, step, [job for _, job in who]) for time, step, who in starts(run)]


def test_serial_takes_one_after_the_other_through_all_segments(engine: Engine) -> None:
    deployment = one_accelerator(FLAT, BatchConfig())
    run = play(engine, deployment, [1.0, 1.5])
    assert of_one(run) == [
        (t, s, [j])
        for t, s, j in [
            (1.0, 0, 0),
            (2.0, 1, 0),
            (3.0, 2, 0),
            (4.0, 0, 1),
            (5.0, 1, 1),
            (6.0, 2, 1),
        ]
    ]
    assert run.tally.latency.sum() == 3.0 + 5.5
    assert run.tally.busy.tolist() == [6.0]
    assert run.events == 2 + 6


def test_a_batch_in_the_log(engine: Engine) -> None:
    deployment = one_accelerator(
        [[1.0, 1.5]], BatchConfig(policy="dynamic", max_batch=2), capacity=3
    )
    run = play(engine, deployment, [1.0, 1.25, 1.5, 1.75])
    assert trace(run) == [
        (1.0, "arrived", 0, 0, 0, "queued"),
        (1.0, "chosen", 0, 0, 0, "started"),
        (1.25, "arrived", 0, 1, 0, "queued"),
        (1.5, "arrived", 0, 2, 0, "queued"),
        (1.75, "arrived", 0, 3, 0, "lost"),
        (2.0, "finished", 0, 0, 0, "left"),
        (2.0, "chosen", 0, 1, 0, "started"),
        (2.0, "chosen", 0, 2, 0, "started"),
        (3.5, "finished", 0, 1, 0, "left"),
        (3.5, "finished", 0, 2, 0, "left"),
    ]
    assert run.batches is not None
    assert run.batches.sizes.tolist() == [[1, 1]]
    assert run.tally.lost.sum() == 1


def test_greedy_takes_whoever_waits_up_to_the_largest_batch(engine: Engine) -> None:
    deployment = one_accelerator(ONE_SEGMENT, BatchConfig(policy="dynamic", max_batch=3))
    run = play(engine, deployment, [1.0, 1.25, 1.5, 1.75, 1.75])
    assert of_one(run) == [(1.0, 0, [0]), (2.0, 0, [1, 2, 3]), (4.0, 0, [4])]


def test_static_waits_until_the_batch_is_full(engine: Engine) -> None:
    deployment = one_accelerator(ONE_SEGMENT, BatchConfig(policy="static", max_batch=2))
    run = play(engine, deployment, [1.0, 3.0, 4.0, 6.0])
    assert of_one(run) == [(3.0, 0, [0, 1]), (6.0, 0, [2, 3])]


def test_static_does_not_wait_for_those_who_find_no_room(engine: Engine) -> None:
    deployment = one_accelerator(ONE_SEGMENT, BatchConfig(policy="static", max_batch=3), capacity=2)
    run = play(engine, deployment, [1.0, 1.5, 1.75])
    assert of_one(run) == [(1.5, 0, [0, 1])]
    assert run.tally.lost.sum() == 1


@pytest.mark.parametrize(
    ("largest", "expected"),
    [(3, [(1.5, 0, [0, 1]), (3.5, 0, [2])]), (2, [(1.25, 0, [0, 1]), (3.5, 0, [2])])],
)
def test_dynamic_waits_for_company_up_to_the_time_out(
    engine: Engine, largest: int, expected: list[tuple[float, int, list[int]]]
) -> None:
    config = BatchConfig(policy="dynamic", max_batch=largest, timeout=0.5)
    run = play(engine, one_accelerator(ONE_SEGMENT, config), [1.0, 1.25, 3.0])
    assert of_one(run) == expected


def with_deadlines(deployment: Deployment, *deadlines: float | None) -> Deployment:
    """The same with another deadline of each chain."""
    chains = tuple(
        replace(chain, deadline=deadline)
        for chain, deadline in zip(deployment.problem.chains, deadlines, strict=True)
    )
    return replace(deployment, problem=replace(deployment.problem, chains=chains))


def test_earliest_deadline_goes_first(engine: Engine) -> None:
    config = BatchConfig(policy="edf", max_batch=1)
    deployment = with_deadlines(one_accelerator(ONE_SEGMENT, config, chains=3), 10.0, 1.0, None)
    run = play(engine, deployment, [1.0, 1.25], [1.5], [1.1])
    assert starts(run) == [
        (1.0, 0, [(0, 0)]),
        (2.0, 0, [(1, 0)]),
        (3.0, 0, [(0, 1)]),
        (4.0, 0, [(2, 0)]),
    ]


def test_chains_of_one_model_share_batches_and_others_do_not(engine: Engine) -> None:
    shared = one_accelerator(ONE_SEGMENT, BatchConfig(policy="dynamic", max_batch=2), chains=2)
    assert starts(play(engine, shared, [1.0], [1.0])) == [(1.0, 0, [(0, 0), (1, 0)])]
    first, second = shared.problem.chains
    apart = replace(
        shared, problem=replace(shared.problem, chains=(first, replace(second, model="other")))
    )
    run = play(engine, apart, [1.0], [1.0])
    assert starts(run) == [(1.0, 0, [(0, 0)]), (2.0, 0, [(1, 0)])]


@pytest.mark.parametrize("policy", ["lazy", "exit_aware"])
def test_newcomers_catch_up_and_merge(engine: Engine, policy: str) -> None:
    deployment = one_accelerator(FLAT, BatchConfig(policy=policy, max_batch=3))
    run = play(engine, deployment, [1.0, 1.5])
    assert of_one(run) == [(1.0, 0, [0]), (2.0, 0, [1]), (3.0, 1, [0, 1]), (4.0, 2, [0, 1])]
    assert run.batches is not None
    assert run.batches.preemptions.tolist() == [1]


@pytest.mark.parametrize("policy", ["dynamic", "edf"])
def test_other_policies_do_not_interrupt(engine: Engine, policy: str) -> None:
    deployment = one_accelerator(FLAT, BatchConfig(policy=policy, max_batch=3))
    run = play(engine, deployment, [1.0, 1.5, 2.5])
    assert of_one(run) == [
        (t, s, j)
        for t, s, j in [
            (1.0, 0, [0]),
            (2.0, 1, [0]),
            (3.0, 2, [0]),
            (4.0, 0, [1, 2]),
            (5.0, 1, [1, 2]),
            (6.0, 2, [1, 2]),
        ]
    ]


def test_lazy_batches_lie_on_a_stack(engine: Engine) -> None:
    deployment = one_accelerator(FLAT, BatchConfig(policy="lazy", max_batch=3))
    run = play(engine, deployment, [1.0, 2.5, 3.5])
    # Job 1 overtakes 0 before its last segment, and 2 overtakes 1 after its first.
    assert of_one(run) == [
        (1.0, 0, [0]),
        (2.0, 1, [0]),
        (3.0, 0, [1]),
        (4.0, 0, [2]),
        (5.0, 1, [1, 2]),
        (6.0, 2, [0, 1, 2]),
    ]


def test_all_lazy_batches_fit_the_largest(engine: Engine) -> None:
    deployment = one_accelerator(FLAT[:2], BatchConfig(policy="lazy", max_batch=2))
    run = play(engine, deployment, [1.0, 1.5, 1.5])
    assert of_one(run) == [
        (1.0, 0, [0]),
        (2.0, 0, [1]),
        (3.0, 1, [0, 1]),
        (4.0, 0, [2]),
        (5.0, 1, [2]),
    ]


@pytest.mark.parametrize(
    ("deadline", "overtakes"),
    # At 2 s job 0 needs 1 s more and job 1, that came at 1.5 s, 2 s: all would be done by 5 s.
    [(4.0, True), (3.75, False)],
)
def test_lazy_newcomers_wait_where_a_deadline_might_break(
    engine: Engine, deadline: float, overtakes: bool
) -> None:
    config = BatchConfig(policy="lazy", max_batch=3)
    run = play(engine, one_accelerator(FLAT[:2], config, deadline=deadline), [1.0, 1.5])
    assert (of_one(run)[1] == (2.0, 0, [1])) == overtakes


@pytest.mark.parametrize(
    ("arrival", "expected"),
    [
        # At the first exit both gain 2 - 1 s; at the second, they would lose 2 - 1 s.
        (1.5, [(2.0, 0, [1]), (3.0, 1, [0, 1])]),
        (2.5, [(2.0, 1, [0]), (3.0, 2, [0])]),
    ],
)
def test_exit_aware_newcomers_catch_up_where_the_mean_gains(
    engine: Engine, arrival: float, expected: list[tuple[float, int, list[int]]]
) -> None:
    deployment = one_accelerator(FLAT, BatchConfig(policy="exit_aware", max_batch=3))
    assert of_one(play(engine, deployment, [1.0, arrival]))[1:3] == expected


@pytest.mark.parametrize(
    ("deadline", "overtakes"),
    # At 2 s job 1 would be at the exit at 3 s, and both at the end at 5 s.
    [(4.0, True), (3.75, False)],
)
def test_exit_aware_newcomers_wait_where_a_deadline_in_hand_would_break(
    engine: Engine, deadline: float, overtakes: bool
) -> None:
    config = BatchConfig(policy="exit_aware", max_batch=3)
    run = play(engine, one_accelerator(FLAT, config, deadline=deadline), [1.0, 1.5])
    assert (of_one(run)[1] == (2.0, 0, [1])) == overtakes


def test_a_suspended_batch_goes_on_when_all_newcomers_have_left(engine: Engine) -> None:
    config = BatchConfig(policy="exit_aware", max_batch=3)
    deployment = one_accelerator(FLAT, config, mix=(0.5, 0.0, 0.5))
    run = play(engine, deployment, [1.0, 1.5, 2.5], routes=[[2, 0, 2]])
    # Job 2 waits at 3 s, but a batch that goes on is not interrupted at once.
    assert of_one(run)[:4] == [(1.0, 0, [0]), (2.0, 0, [1]), (3.0, 1, [0]), (4.0, 2, [0])]


def test_exit_aware_suspends_one_batch_only(engine: Engine) -> None:
    table = [[1.0] * 4] * 4
    deployment = one_accelerator(table, BatchConfig(policy="exit_aware", max_batch=4))
    run = play(engine, deployment, [1.0, 2.5, 2.5, 3.5])
    # Lazy batches would let job 3 overtake jobs 1 and 2 at 4 s.
    assert of_one(run)[:5] == [
        (1.0, 0, [0]),
        (2.0, 1, [0]),
        (3.0, 0, [1, 2]),
        (4.0, 1, [1, 2]),
        (5.0, 2, [0, 1, 2]),
    ]
    early = play(engine, deployment, [1.0, 1.5, 2.5])
    assert of_one(early)[:3] == [(1.0, 0, [0]), (2.0, 0, [1]), (3.0, 1, [0, 1])]


@pytest.mark.parametrize(("survivors", "overtakes"), [("worst", False), ("expected", True)])
def test_expected_survivors_make_batches_cheaper(
    engine: Engine, survivors: str, overtakes: bool
) -> None:
    config = BatchConfig(policy="exit_aware", max_batch=3, compaction=True, survivors=survivors)
    # Three in the last segment take 4 s, two of them 1 s: of two newcomers one is expected there.
    deployment = one_accelerator([[1.0, 1.0, 1.0], [1.0, 1.0, 4.0]], config, mix=(0.5, 0.5))
    run = play(engine, deployment, [1.0, 1.5, 1.5], routes=[[1, 0, 1]])
    assert (of_one(run)[1] == (2.0, 0, [1, 2])) == overtakes


@pytest.mark.parametrize(("compaction", "end"), [(False, 5.0), (True, 4.0)])
def test_who_pays_for_those_that_have_left(engine: Engine, compaction: bool, end: float) -> None:
    config = BatchConfig(policy="dynamic", max_batch=2, compaction=compaction)
    deployment = one_accelerator([[1.0, 2.0]] * 2, config, mix=(0.5, 0.5))
    run = play(engine, deployment, [1.0, 1.0], routes=[[0, 1]])
    assert of_one(run) == [(1.0, 0, [0, 1]), (3.0, 1, [1])]
    assert trace(run)[-1][0] == end


def test_fluid_arrays_compact_without_being_told(engine: Engine) -> None:
    config = BatchConfig(policy="dynamic", max_batch=4)
    base = one_accelerator([[1.0] * 4] * 2, config, mix=(0.5, 0.5))
    for variant, compacts in (("fixed", False), ("fluid", True)):
        npu = Npu(network="resnet50", variant=variant)
        device = replace(base.problem.devices[0], npu=npu)
        network, _ = packed(replace(base, problem=replace(base.problem, devices=(device,))), 0)
        assert network.batching is not None
        assert network.batching.compacts.tolist() == [compacts]


def test_a_sample_keeps_its_unit_until_it_leaves_the_accelerator(engine: Engine) -> None:
    deployment = one_accelerator(FLAT, BatchConfig(), capacity=1)
    run = play(engine, deployment, [1.0, 3.9, 4.0])
    assert [event[5] for event in trace(run) if event[1] == "arrived"] == [
        "queued",
        "lost",
        "queued",
    ]


def test_tables_may_differ_by_model(engine: Engine) -> None:
    base = one_accelerator(ONE_SEGMENT, BatchConfig(policy="dynamic", max_batch=2), chains=2)
    tables = {"m": BatchTable(seconds=[[1.0, 1.0]]), "slow": BatchTable(seconds=[[3.0, 3.0]])}  # type: ignore[arg-type]
    device = replace(base.problem.devices[0], npu=Npu(table=tables))
    first, second = base.problem.chains
    chains = (first, replace(second, model="slow"))
    run = play(
        engine,
        replace(base, problem=replace(base.problem, devices=(device,), chains=chains)),
        [1.0, 1.5],
        [1.25],
    )
    assert starts(run) == [(1.0, 0, [(0, 0)]), (2.0, 0, [(1, 0)]), (5.0, 0, [(0, 1)])]
