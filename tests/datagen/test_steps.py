"""Where steps begin, on devices that serve jobs one by one and on accelerators."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.steps import path_steps, run_starts


def test_run_starts_knows_paths() -> None:
    first = np.array([True, False, True])
    assert run_starts(np.array([[1, 1, 1]]), first, fuse=True).tolist() == [[True, False, True]]


@pytest.mark.parametrize(
    ("hosts", "fuse", "spans"),
    [
        ((1, 1, 1, 1), True, [(0, 2), (2, 3), (3, 4)]),
        ((0, 0, 0, 0), True, [(0, 4)]),
        ((0, 1, 1, 0), True, [(0, 1), (1, 2), (2, 3), (3, 4)]),
        ((1, 1, 0, 0), True, [(0, 2), (2, 4)]),
        ((1, 1, 1, 1), False, [(0, 1), (1, 2), (2, 3), (3, 4)]),
    ],
)
def test_steps_on_accelerators_end_at_classifiers(
    hosts: tuple[int, ...], fuse: bool, spans: list[tuple[int, int]]
) -> None:
    batching, classified = np.array([False, True]), (False, True, True, False)
    steps = path_steps(np.array(hosts), [1] * 4, classified, batching, fuse=fuse)
    assert [(step.start, step.stop) for step in steps] == spans


def test_a_job_keeps_its_units_for_the_whole_visit_to_an_accelerator() -> None:
    demands, classified = [1, 3, 2, 1, 4], (True, True, False, True, False)
    steps = path_steps(
        np.array([1, 1, 1, 0, 1]), demands, classified, np.array([0, 1]) > 0, fuse=True
    )
    assert [step.demand for step in steps] == [3, 3, 3, 1, 4]


def test_one_fragment_is_one_step() -> None:
    for batching in (False, True):
        steps = path_steps(np.array([0]), [2], (False,), np.array([batching]), fuse=True)
        assert [(step.start, step.stop, step.demand) for step in steps] == [(0, 1, 2)]
