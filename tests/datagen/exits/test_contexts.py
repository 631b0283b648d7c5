from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Deployment, Device, Exit, Fragment, Problem
from datagen.distributions import Deterministic
from datagen.errors import InvalidInputError, NotSupportedError
from datagen.evaluation import Effect, pack
from datagen.evaluation.effects import refuse_uncovered
from datagen.exits import (
    CONTEXT_NAMES,
    CONTEXTS,
    Contexts,
    ContextSchedule,
    ContextSwitching,
    ExitMix,
    ExitTrace,
    Thresholds,
    contexts_from_parameters,
)
from datagen.simulator.covered import ENGINE_COVERS

PROCESSES = (
    ContextSwitching(holding=(30.0, 10.0)),
    ContextSwitching(holding=(1.0, 2.5, 8.0), by="jobs"),
    ContextSchedule(times=(0.0, 4.0), contexts=(1, 0)),
)


@pytest.mark.parametrize("process", PROCESSES)
def test_parameters_rebuild_the_process(process: Contexts) -> None:
    code = CONTEXT_NAMES.index(process.name)
    assert contexts_from_parameters(code, np.array(process.parameters())) == process


def test_codes_are_stored_in_no_other_order() -> None:
    assert list(CONTEXTS) == ["switching", "schedule"]


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (ContextSwitching, {"holding": (1.0,)}, "holding must hold at least two"),
        (ContextSwitching, {"holding": (1.0, 0.0)}, "holding must be > 0"),
        (ContextSwitching, {"holding": (1.0, float("nan"))}, "holding must be > 0"),
        (ContextSwitching, {"holding": (1.0, 1e101)}, r"holding must be > 0 and at most 1e\+100"),
        (ContextSwitching, {"holding": (2.0, 0.5), "by": "jobs"}, "holding must be at least one"),
        (ContextSwitching, {"holding": (2.0, 2.0), "by": "days"}, "by must be one of time, jobs"),
        (ContextSchedule, {"times": (), "contexts": ()}, "times must start at 0"),
        (ContextSchedule, {"times": (1.0,), "contexts": (0,)}, "times must start at 0"),
        (ContextSchedule, {"times": (0.0, 0.0), "contexts": (0, 1)}, "times must increase"),
        (ContextSchedule, {"times": (0.0, 1.0), "contexts": (0,)}, "contexts must have length 2"),
        (ContextSchedule, {"times": (0.0,), "contexts": (-1,)}, "contexts must be whole numbers"),
        (ContextSchedule, {"times": (0.0,), "contexts": (0.5,)}, "contexts must be whole numbers"),
    ],
)
def test_bad_parameters_are_refused(cls: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        cls(**fields)


TRACE = ExitTrace(
    name="t",
    confidences=[[0.9, 1.0], [0.1, 1.0], [0.9, 1.0], [0.2, 1.0], [0.3, 1.0]],
    correct=[[1, 0], [1, 1], [0, 0], [1, 1], [1, 1]],
    context=[0, 1, 0, 1, 0],
)


def drifting(contexts: Contexts | None, trace: ExitTrace = TRACE) -> Deployment:
    fragments = (
        Fragment(name="f0", service=Deterministic(mean=1.0), exit=Exit()),
        Fragment(name="f1", service=Deterministic(mean=1.0)),
    )
    chain = Chain(
        name="c", arrivals=Poisson(rate=0.1), fragments=fragments, trace="t", contexts=contexts
    )
    problem = Problem(devices=(Device(name="d", capacity=5),), chains=(chain,), traces=(trace,))
    decision = Thresholds(tau=(0.5,))
    return Deployment(problem=problem, placement={"c": (("d", "d"),)}, exits={"c": decision})


@pytest.mark.parametrize(
    ("contexts", "message"),
    [
        (ContextSwitching(holding=(9.0, 9.0, 9.0)), r"c\.contexts\.holding must hold 2 values"),
        (ContextSwitching(holding=(9.0, 9e-3)), r"c\.contexts\.holding must be at least 0\.01 s"),
        (ContextSchedule(times=(0.0,), contexts=(2,)), r"c\.contexts\.contexts must lie in"),
    ],
)
def test_contexts_that_do_not_fit_the_trace_are_refused(contexts: Any, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        drifting(contexts)


def test_contexts_need_a_trace_that_has_some() -> None:
    without = replace(TRACE, context=None)
    with pytest.raises(InvalidInputError, match=r"c\.contexts must go with a trace that has"):
        drifting(PROCESSES[0], without)


def test_long_run_shares_weigh_the_samples() -> None:
    # Two of the three samples of context 0 leave early, one of them rightly; none of context 1.
    batch = pack([drifting(ContextSwitching(holding=(30.0, 10.0)))])
    # Outcomes: exit 0 wrong, exit 0 right, end wrong, end right.
    np.testing.assert_allclose(batch.exit_probability, [0.25, 0.25, 0.0, 0.5])
    assert batch.step_mean[0] == pytest.approx(1.5)
    assert batch.context_samples.tolist() == [3, 2]
    scheduled = pack([drifting(ContextSchedule(times=(0.0, 9.0), contexts=(0, 1)))])
    assert scheduled.exit_probability.tolist() == [0.0, 0.0, 0.0, 1.0]
    alike = pack([drifting(None)])
    np.testing.assert_allclose(alike.exit_probability, [0.2, 0.2, 0.0, 0.6])
    assert len(alike.context_samples) == len(alike.context_parameter) == 0


def test_contexts_are_an_effect_where_thresholds_read_the_trace() -> None:
    deployment = drifting(PROCESSES[0])
    assert pack([deployment]).effects[0] & Effect.CONTEXTS
    assert not pack([drifting(None)]).effects[0] & Effect.CONTEXTS
    mixed = replace(deployment, exits={"c": ExitMix(p=(0.5, 0.5))})
    assert not pack([mixed]).effects[0] & Effect.CONTEXTS
    assert len(pack([mixed]).context_parameter) == 0
    covers = ENGINE_COVERS & ~Effect.CONTEXTS
    with pytest.raises(NotSupportedError, match="contexts that change"):
        refuse_uncovered("someone", covers, pack([deployment]).effects)
