"""Workload distribution: the optimum against all plans there are, and against another method."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from scipy.optimize import Bounds, LinearConstraint, milp

from datagen.errors import InvalidInputError
from datagen.workload import ExplorationTable, Plan, Request
from surrogate.optimizers.workload import distribute, fastest, most_accurate
from surrogate.optimizers.workload_baselines import asymmetric, uniform, uniform_approximate

ABSENT = 0.15
"""Share of variants that a node cannot run."""


def drawn(rng: np.random.Generator, nodes: int, variants: int) -> ExplorationTable:
    seconds = rng.uniform(0.05, 1.0, (nodes, variants))
    seconds[rng.random((nodes, variants)) < ABSENT] = np.inf
    seconds[0, 0] = rng.uniform(0.05, 1.0)  # somebody can run something
    setup = rng.uniform(0.0, 0.5, nodes) * (rng.random(nodes) < 0.5)
    return ExplorationTable(seconds=seconds, setup=setup, accuracy=rng.uniform(0.3, 1.0, variants))


def compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    for bars in itertools.combinations(range(total + parts - 1), parts - 1):
        ends = (-1, *bars, total + parts - 1)
        yield tuple(b - a - 1 for a, b in itertools.pairwise(ends))


def all_plans(table: ExplorationTable, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Time and accuracy of every choice of variants and shares."""
    nodes, variants = table.seconds.shape
    shares = np.array(list(compositions(inputs, nodes)))
    times, accuracies = [], []
    for choice in itertools.product(range(variants), repeat=nodes):
        each = table.seconds[np.arange(nodes), choice]
        with np.errstate(invalid="ignore"):
            busy = np.where(shares > 0, table.setup + shares * each, 0.0)
        times.append(busy.max(axis=1))
        accuracies.append(shares @ table.accuracy[list(choice)] / inputs)
    return np.concatenate(times), np.concatenate(accuracies)


def test_the_optimum_is_that_of_all_plans() -> None:
    rng = np.random.default_rng(11)
    late = 0
    for _ in range(250):
        table = drawn(rng, int(rng.integers(1, 4)), int(rng.integers(1, 4)))
        inputs = int(rng.integers(1, 8))
        times, accuracies = all_plans(table, inputs)
        finite = times[np.isfinite(times)]
        limit = float(rng.uniform(0.7 * finite.min(), finite.max()))
        plan = most_accurate(table, inputs, limit)
        assert plan.inputs.sum() == inputs
        in_time = times <= limit
        late += not in_time.any()
        if in_time.any():
            best = accuracies[in_time].max()
            quickest = times[in_time & (accuracies >= best - 1e-12)].min()
            assert plan.accuracy(table) == pytest.approx(best, abs=1e-12)
        else:
            quickest = times.min()
        assert plan.seconds(table) == pytest.approx(quickest, rel=1e-12)

        wanted = float(rng.uniform(accuracies.min(), 1.05 * accuracies.max()))
        plan = fastest(table, inputs, min(wanted, 1.0))
        can = np.isfinite(times)
        enough = can & (accuracies >= min(wanted, accuracies[can].max()) - 1e-12)
        assert plan.inputs.sum() == inputs
        assert plan.seconds(table) == pytest.approx(times[enough].min(), rel=1e-12)
        at_once = enough & (times <= times[enough].min() * (1 + 1e-12))
        assert plan.accuracy(table) == pytest.approx(accuracies[at_once].max(), abs=1e-12)
    assert 5 < late < 100  # both cases are met


def by_milp(table: ExplorationTable, inputs: int, seconds: float) -> float:
    """The highest accuracy within a time, as a mixed-integer program; NaN if none keeps it.

    Variables: whether node n runs variant v, then how many inputs it answers by it.
    """
    nodes, variants = table.seconds.shape
    cells = nodes * variants
    most = np.floor((seconds - table.setup[:, None]) / table.seconds + 1e-9).clip(0, inputs).ravel()
    one_variant = np.kron(np.eye(nodes), np.ones(variants))
    identity = np.eye(cells)
    nothing = np.zeros((nodes, cells))
    found = milp(
        -np.concatenate([np.zeros(cells), np.tile(table.accuracy, nodes)]) / inputs,
        integrality=np.ones(2 * cells),
        bounds=Bounds(0, np.concatenate([np.ones(cells), most])),
        constraints=[
            LinearConstraint(np.hstack([one_variant, nothing]), ub=1),
            LinearConstraint(np.hstack([-np.diag(most), identity]), ub=0),
            LinearConstraint(np.append(np.zeros(cells), np.ones(cells)), inputs, inputs),
        ],
        options={"mip_rel_gap": 0},
    )
    return float("nan") if found.x is None else -float(found.fun)


def test_the_optimum_is_that_of_a_mixed_integer_program() -> None:
    rng = np.random.default_rng(5)
    for _ in range(25):
        table, inputs = drawn(rng, 4, 5), 150
        quickest = distribute(table, Request(inputs=inputs, accuracy=0.0)).seconds(table)
        limit = quickest * float(rng.uniform(1.0, 3.0))
        plan = most_accurate(table, inputs, limit)
        assert plan.seconds(table) <= limit * (1 + 1e-9)
        assert plan.accuracy(table) == pytest.approx(by_milp(table, inputs, limit), abs=1e-6)


TABLE = ExplorationTable(
    seconds=np.array([[0.1, 0.05], [0.2, 0.1], [np.inf, np.inf]]),
    setup=np.array([0.0, 0.1, 0.0]),
    accuracy=np.array([0.9, 0.8]),
)


def shown(plan: Plan) -> tuple[list[int], list[int]]:
    return plan.inputs.tolist(), plan.variant[plan.inputs > 0].tolist()


def test_the_rules_do_what_they_say() -> None:
    request = Request(inputs=9, rate=9 / 0.6)
    assert shown(uniform(TABLE, request)) == ([5, 4, 0], [0, 0])
    # 5 x 0.1 is in time; 0.1 + 4 x 0.2 is not, 0.1 + 4 x 0.1 is.
    assert shown(uniform_approximate(TABLE, request)) == ([5, 4, 0], [0, 1])
    # 6 x 0.1 = 0.6 against 0.1 + 3 x 0.2 = 0.7; with 7 and 2 it is 0.7 against 0.5.
    assert asymmetric(TABLE, request).seconds(TABLE) == pytest.approx(0.7)
    # In 0.6 s the fast node answers 6 well and the slow one 2, or 5 by the lesser variant.
    assert shown(distribute(TABLE, request)) == ([6, 3, 0], [0, 1])
    hurried = Request(inputs=9, rate=100.0)
    assert shown(uniform_approximate(TABLE, hurried)) == ([5, 4, 0], [1, 1])
    accurate = Request(inputs=9, accuracy=0.85)
    assert shown(uniform_approximate(TABLE, accurate)) == ([5, 4, 0], [0, 0])


def test_no_rule_is_better_than_the_optimum() -> None:
    rng = np.random.default_rng(2)
    for _ in range(60):
        table, inputs = drawn(rng, 4, 4), int(rng.integers(4, 60))
        request = Request(inputs=inputs, rate=float(rng.uniform(0.5, 40.0)))
        plan = distribute(table, request)
        for rule in (uniform, uniform_approximate, asymmetric):
            other = rule(table, request)
            assert other.inputs.sum() == inputs
            if other.seconds(table) <= request.seconds:
                assert plan.accuracy(table) >= other.accuracy(table) - 1e-12
                assert plan.seconds(table) <= request.seconds * (1 + 1e-9)


def test_what_cannot_be_split_is_refused() -> None:
    nobody = TABLE.slowed(0, np.inf).slowed(1, np.inf)
    with pytest.raises(InvalidInputError, match="be finite for some node"):
        distribute(nobody, Request(inputs=3, rate=1.0))
    rng = np.random.default_rng(0)
    # On every node the better variant is the slower one, so that all 8**8 choices are worth it.
    many = ExplorationTable(
        seconds=np.sort(rng.uniform(0.1, 1.0, (8, 8)), axis=1),
        setup=np.zeros(8),
        accuracy=np.linspace(0.2, 0.9, 8),
    )
    with pytest.raises(InvalidInputError, match="choices must be at most"):
        distribute(many, Request(inputs=3, rate=1.0))
