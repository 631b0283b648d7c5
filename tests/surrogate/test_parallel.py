"""Parts side by side: all of them, in order, on helpers that are there for the process only."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from datagen.evaluation import pack
from datagen.scenarios import Type1Scenario
from surrogate import load_surrogate
from surrogate.evaluator import LEAST_STEPS
from surrogate.parallel import in_threads


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Give PyTorch two threads for one test."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("count", [0, 1, 2, 3, 8])
def test_every_part_is_worked_on_once_and_in_order(count: int) -> None:
    assert in_threads(lambda part: part * part, range(count)) == [p * p for p in range(count)]


@pytest.mark.usefixtures("two_threads")
def test_parts_run_at_once_and_each_on_one_thread() -> None:
    both = threading.Barrier(2, timeout=20)

    def meet(_: int) -> int:
        both.wait()  # never passed by one thread alone
        return torch.get_num_threads()

    assert in_threads(meet, range(2)) == [1, 1]
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("bad", [0, 1])
def test_an_error_in_any_part_is_raised_and_the_threads_are_left_as_they_were(bad: int) -> None:
    def fail(part: int) -> None:
        if part == bad:
            raise ArithmeticError(f"part {part}")

    with pytest.raises(ArithmeticError, match=f"part {bad}"):
        in_threads(fail, range(2))
    assert torch.get_num_threads() == 2


def test_one_thread_means_this_one() -> None:
    assert torch.get_num_threads() == 1
    found = in_threads(lambda _: threading.get_ident(), range(3))
    assert found == [threading.get_ident()] * 3


@pytest.mark.usefixtures("two_threads")
def test_measures_do_not_depend_on_the_number_of_threads() -> None:
    surrogate = load_surrogate("chainnet")
    scenario = Type1Scenario()
    batch = pack([scenario.sample(index, 5) for index in range(2 * LEAST_STEPS // 5)])
    assert len(batch.step_mean) >= 2 * LEAST_STEPS  # enough for both
    side_by_side = surrogate.evaluate(batch)
    torch.set_num_threads(1)
    alone = surrogate.evaluate(batch)
    assert side_by_side.reason == alone.reason
    for name, values in alone.chain.items():
        np.testing.assert_allclose(side_by_side.chain[name], values, rtol=2e-5, err_msg=name)
    for name, values in alone.step.items():
        np.testing.assert_allclose(side_by_side.step[name], values, rtol=2e-5, err_msg=name)
