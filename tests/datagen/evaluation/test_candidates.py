from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Problem
from datagen.distributions import Deterministic, Exponential
from datagen.errors import InvalidInputError
from datagen.evaluation import Candidates, Effect, pack
from datagen.exits import Contexts, ContextSchedule, ContextSwitching, ExitTrace, Thresholds
from datagen.simulator import simulate
from tests.datagen.evaluation.test_packing import same
from tests.datagen.strategies import deployments
from tests.helpers import tandem


def placements(base: Deployment, data: st.DataObject) -> np.ndarray:
    slots = sum(len(path) for paths in base.placement.values() for path in paths)
    device = st.integers(0, len(base.problem.devices) - 1)
    row = st.lists(device, min_size=slots, max_size=slots)
    return np.array(data.draw(st.lists(row, min_size=1, max_size=3)))


@settings(max_examples=30)
@given(deployments(), st.data())
def test_candidates_pack_like_the_deployments_they_stand_for(
    base: Deployment, data: st.DataObject
) -> None:
    assert_packed_alike(Candidates(base=base, placement=placements(base, data)))


def assert_packed_alike(candidates: Candidates) -> None:
    objects = [candidates.deployment(index) for index in range(len(candidates))]
    expected = pack(objects).with_key(np.zeros(len(objects)))
    assert same(candidates.batch(), expected)
    assert same(candidates.select([0]).batch(), pack(objects[:1]))


def traced(base: Deployment, data: st.DataObject) -> Deployment:
    """The deployment, with recorded samples for every chain that is decided by thresholds."""
    chains, traces = [], list(base.problem.traces)
    for chain in base.problem.chains:
        if chain.trace is None and isinstance(base.exits.get(chain.name), Thresholds):
            exits = 1 + sum(fragment.exit is not None for fragment in chain.fragments)
            samples = data.draw(st.integers(1, 5))
            rng = np.random.default_rng(data.draw(st.integers(0, 99)))
            confidences = rng.integers(0, 5, size=(samples, exits)) / 4
            right = rng.random((samples, exits)) < 0.5
            name = f"trace of {chain.name}"
            traces.append(ExitTrace(name=name, confidences=confidences, correct=right))
            chain = replace(chain, trace=name)
        chains.append(chain)
    problem = replace(base.problem, chains=tuple(chains), traces=tuple(traces))
    return replace(base, problem=problem)


@settings(max_examples=60)
@given(deployments(), st.data())
def test_varied_thresholds_and_routing_pack_like_the_deployments(
    base: Deployment, data: st.DataObject
) -> None:
    if data.draw(st.booleans()):
        base = traced(base, data)
    placement = placements(base, data)
    width = sum(len(d.tau) for d in base.exits.values() if isinstance(d, Thresholds))
    # Quarters and a little above 1: confidences met exactly, exits that are closed.
    tau = st.lists(st.sampled_from([0.0, 0.25, 0.5, 0.7, 1.0, 1.1]), min_size=width, max_size=width)
    rows = {"min_size": len(placement), "max_size": len(placement)}
    thresholds = np.array(data.draw(st.lists(tau, **rows))).reshape(len(placement), width)
    counts = [len(paths) for paths in base.placement.values()]
    shares = data.draw(st.lists(st.lists(st.floats(0.0, 1.0), min_size=2, max_size=2), **rows))
    routing = [
        [x for n, s in zip(counts, row, strict=False) for x in split(n, s)]
        for row in ((first, second)[: len(counts)] for first, second in shares)
    ]
    varied = Candidates(
        base=base, placement=placement, thresholds=thresholds, routing=np.array(routing)
    )
    assert_packed_alike(varied)
    assert_packed_alike(replace(varied, thresholds=None))
    assert_packed_alike(replace(varied, routing=None))


def split(paths: int, share: float) -> list[float]:
    return [1.0] if paths == 1 else [share, 1.0 - share]


def gated() -> Deployment:
    """Two exits and two paths on two devices; four recorded samples."""
    fragments = (
        Fragment(
            name="a",
            service=Deterministic(mean=1.0),
            exit=Exit(head=Deterministic(mean=0.5)),
        ),
        Fragment(name="b", service=Deterministic(mean=2.0)),
    )
    trace = ExitTrace(
        name="t",
        confidences=np.array([[0.9, 1.0], [0.7, 1.0], [0.5, 1.0], [0.3, 1.0]]),
        correct=np.array([[True, True], [False, True], [True, True], [False, False]]),
    )
    chain = Chain(name="c", arrivals=Poisson(rate=0.1), fragments=fragments, trace="t")
    problem = Problem(
        devices=(Device(name="x", capacity=5), Device(name="y", capacity=5)),
        chains=(chain,),
        traces=(trace,),
    )
    return Deployment(
        problem=problem,
        placement={"c": (("x", "y"), ("y", "x"))},
        routing={"c": (0.5, 0.5)},
        exits={"c": Thresholds(tau=(0.8,))},
    )


def test_thresholds_and_routing_mean_what_they_say() -> None:
    varied = Candidates(
        base=gated(),
        placement=np.array([[0, 1, 1, 0]] * 3),
        thresholds=np.array([[0.6], [0.0], [1.5]]),
        routing=np.array([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]]),
    )
    batch = varied.batch()
    # Exits by (fragment, right or wrong): of the first row two samples leave at once, one right.
    share = batch.exit_probability.reshape(3, 4).tolist()
    assert share == [[0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0, 0], [0, 0, 0.25, 0.75]]
    assert batch.step_reached.reshape(3, 4)[:, 1].tolist() == [0.5, 0.0, 1.0]
    # A closed exit costs nothing; an open one its classifier.
    assert batch.step_mean.reshape(3, 4)[:, 0].tolist() == [1.5, 1.5, 1.0]
    assert batch.path_probability.tolist() == [0.25, 0.75, 1.0, 0.0, 0.5, 0.5]
    assert varied.deployment(2).exits["c"] == Thresholds(tau=(1.5,))
    assert varied.deployment(0).routing["c"] == (0.25, 0.75)
    measures = simulate(varied, horizon=2e4, seed=1)
    accuracy = measures.chain["accuracy_completed"]
    assert accuracy == pytest.approx([0.5, 0.5, 0.75], abs=0.05)


def changing(contexts: Contexts) -> Deployment:
    """The chain of two exits; the samples of its two contexts take turns in the trace."""
    base = gated()
    trace = replace(base.problem.traces[0], context=np.array([1, 0, 1, 0]))
    chain = replace(base.problem.chains[0], contexts=contexts)
    return replace(base, problem=replace(base.problem, chains=(chain,), traces=(trace,)))


@pytest.mark.parametrize(
    ("contexts", "share"),
    [
        # Of the outcomes at 0.6 each context has one that leaves at once; rightly in context 1.
        (
            ContextSwitching(holding=(30.0, 10.0)),
            [[0.375, 0.125, 0.375, 0.125], [0.75, 0.25, 0, 0], [0, 0, 0.375, 0.625]],
        ),
        (
            ContextSchedule(times=(0.0, 9.0), contexts=(0, 1)),
            [[0, 0.5, 0, 0.5], [0, 1, 0, 0], [0, 0, 0, 1]],
        ),
    ],
)
def test_varied_thresholds_follow_contexts(contexts: Contexts, share: list[list[float]]) -> None:
    varied = Candidates(
        base=changing(contexts),
        placement=np.array([[0, 1, 1, 0], [0, 0, 1, 1], [1, 0, 0, 1]]),
        thresholds=np.array([[0.6], [0.0], [1.5]]),
    )
    assert_packed_alike(varied)
    batch = varied.batch()
    assert batch.exit_probability.reshape(3, 4).tolist() == share
    # The samples of context 0 come first, as many as are counted.
    assert batch.trace_exit.reshape(3, 4).tolist() == [[0, 2, 1, 3], [0, 0, 1, 1], [3, 2, 3, 3]]
    assert batch.context_samples.tolist() == [2, 2] * 3


def test_a_random_classifier_is_an_effect_where_it_is_open() -> None:
    base = gated()
    chain = base.problem.chains[0]
    head = replace(chain.fragments[0], exit=Exit(head=Exponential(mean=0.5)))
    chain = replace(chain, fragments=(head, *chain.fragments[1:]))
    base = replace(base, problem=replace(base.problem, chains=(chain,)))
    varied = Candidates(
        base=base, placement=np.array([[0, 1, 1, 0]] * 2), thresholds=np.array([[0.6], [1.5]])
    )
    assert_packed_alike(varied)
    random = varied.batch().effects & int(Effect.RANDOM_SERVICE)
    assert random.astype(bool).tolist() == [True, False]


def test_routing_of_32_bits_sums_to_1_of_64() -> None:
    varied = Candidates(
        base=gated(),
        placement=np.array([[0, 1, 1, 0]]),
        routing=np.array([[1 / 3, 2 / 3]], dtype=np.float32),
    )
    assert varied.path_probability.sum() == pytest.approx(1.0, abs=1e-15)
    assert sum(varied.deployment(0).routing["c"]) == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ({"thresholds": [[0.5, 0.5]]}, r"thresholds must have shape \[1, 1\]"),
        ({"thresholds": [0.5]}, r"thresholds must have shape \[1, 1\]"),
        ({"thresholds": [[-0.1]]}, "thresholds must be finite and >= 0"),
        ({"thresholds": [[np.nan]]}, "thresholds must be finite and >= 0"),
        ({"thresholds": [[np.inf]]}, "thresholds must be finite and >= 0"),
        ({"routing": [[1.0]]}, r"routing must have shape \[1, 2\]"),
        ({"routing": [[0.5, 0.4]]}, "routing must be >= 0 and sum to 1 per chain"),
        ({"routing": [[1.5, -0.5]]}, "routing must be >= 0 and sum to 1 per chain"),
        ({"routing": [[np.nan, 1.0]]}, "routing must be >= 0 and sum to 1 per chain"),
    ],
)
def test_bad_vectors_are_refused(vectors: dict[str, list[object]], message: str) -> None:
    arrays = {name: np.array(rows) for name, rows in vectors.items()}
    with pytest.raises(InvalidInputError, match=message):
        Candidates(base=gated(), placement=np.array([[0, 1, 1, 0]]), **arrays)


def test_thousands_of_thresholds_are_packed_without_objects() -> None:
    rng = np.random.default_rng(0)
    count = 4000
    varied = Candidates(
        base=gated(),
        placement=np.tile([0, 1, 1, 0], (count, 1)),
        thresholds=rng.random((count, 1)),
    )
    began = time.process_time()
    varied.batch(laws=False)
    # This takes 5 ms of one core; the objects alone would take 0.1 s, and packing them a second.
    assert time.process_time() - began < 0.1 * 1e-3 * count


@pytest.mark.parametrize(
    ("placement", "message"),
    [
        ([[0, 1, 0]], r"placement must have shape \[B, 2\]"),
        ([0, 1], r"placement must have shape"),
        ([[0, 2]], r"placement must lie in \[0, 2\)"),
        ([[-1, 0]], r"placement must lie in"),
    ],
)
def test_bad_placements_are_refused(placement: list[object], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        Candidates(base=tandem(0, 1), placement=np.array(placement))


def test_memory_is_counted_per_device() -> None:
    base = tandem(0, 1)
    chain = base.problem.chains[0]
    heavy = tuple(replace(fragment, weights=6.0) for fragment in chain.fragments)
    devices = tuple(replace(device, memory=10.0) for device in base.problem.devices)
    problem = replace(base.problem, devices=devices, chains=(replace(chain, fragments=heavy),))
    base = Deployment(problem=problem, placement=base.placement)
    candidates = Candidates(base=base, placement=np.array([[0, 1], [0, 0]]))
    assert candidates.memory_excess().tolist() == [0.0, 2.0]
