"""Single cuts and minimum cuts against every split there is."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import pytest

from datagen.arrivals import Poisson
from datagen.deployment import Chain, Device, Fragment, Link, Problem
from datagen.distributions import Deterministic
from datagen.errors import InvalidInputError
from surrogate.optimizers.split_task import (
    Layer,
    Split,
    SplitGoal,
    SplitTask,
    read_split_task,
    split_task,
)
from surrogate.optimizers.splitting import min_cut, neurosurgeon

INSTANCES = 220


def random_task(rng: np.random.Generator, *, line: bool, pinned: float = 0.1) -> SplitTask:
    """Up to eight layers; some run on one tier only."""
    layers: list[Layer] = []
    for index in range(rng.integers(1, 9)):
        names = [layer.name for layer in layers]
        picked = rng.choice(names, size=min(len(names), rng.integers(0, 3)), replace=False)
        times = rng.uniform(0.001, 0.2), rng.uniform(0.0005, 0.05)
        bar = rng.choice(["neither", "device", "server"], p=[1 - pinned, pinned / 2, pinned / 2])
        layers.append(
            Layer(
                name=f"l{index}",
                device=math.inf if bar == "device" else times[0],
                server=math.inf if bar == "server" else times[1],
                output=float(rng.uniform(0, 1e6)),
                inputs=None if line else tuple(map(str, picked)),
            )
        )
    return SplitTask(
        layers=tuple(layers),
        bandwidth=float(10 ** rng.uniform(5.5, 8)),
        delay=float(rng.uniform(0, 0.02)),
        input=float(rng.uniform(0, 1e6)),
        slowdown=float(rng.uniform(1, 5)),
        compute_power=float(rng.uniform(1, 5)),
        send_power=float(rng.uniform(0.5, 3)),
    )


def every_split(task: SplitTask) -> list[Split]:
    """All sets of layers on the device that hold with each layer all that it reads."""
    names, reads = [layer.name for layer in task.layers], task.reads()
    subsets = chain.from_iterable(combinations(names, n) for n in range(len(names) + 1))
    closed = [s for s in map(set, subsets) if all(s.issuperset(reads[name]) for name in s)]
    return [task.split(s) for s in closed]


@pytest.mark.parametrize("goal", ["latency", "energy"])
@pytest.mark.parametrize("line", [True, False], ids=["lines", "graphs"])
def test_the_minimum_cut_equals_brute_force(goal: SplitGoal, line: bool) -> None:
    rng = np.random.default_rng(5 if line else 6)
    infeasible = branched = 0
    for _ in range(INSTANCES):
        task = random_task(rng, line=line)
        best = min(split.value(goal) for split in every_split(task))
        found = min_cut(task, goal)
        branched += not task.is_line
        if math.isinf(best):
            assert not found.feasible
            infeasible += 1
            continue
        # Costs are rounded to parts of 2^-40 of their sum.
        assert found.value(goal) == pytest.approx(best, rel=1e-9)
        if line:
            assert neurosurgeon(task, goal).value(goal) == pytest.approx(best, rel=1e-12)
    assert infeasible < INSTANCES / 4
    assert branched == 0 if line else branched > INSTANCES / 2


def test_the_cut_moves_with_the_bandwidth() -> None:
    """A wide input, a narrow middle: cut at the start, in the middle, or at the end."""
    task = SplitTask(
        layers=(
            Layer(name="front", device=0.1, server=0.01, output=1e4),
            Layer(name="back", device=0.4, server=0.02, output=1e5),
        ),
        bandwidth=1e5,
        input=1e6,
        compute_power=2.0,
        send_power=1.0,
    )
    middle = neurosurgeon(task)
    assert (middle.device, middle.server) == (("front",), ("back",))
    assert middle.latency == pytest.approx(0.1 + 0.1 + 0.02)
    assert middle.energy == pytest.approx(2.0 * 0.1 + 1.0 * 0.1)
    assert neurosurgeon(replace(task, bandwidth=1e8)).device == ()
    assert neurosurgeon(replace(task, bandwidth=1e3)).server == ()
    assert neurosurgeon(replace(task, slowdown=50.0)).server == ()


def test_a_result_with_two_readers_is_sent_once() -> None:
    layers = (
        Layer(name="a", device=0.0, output=1e6),
        Layer(name="b", server=0.1, inputs=("a",)),
        Layer(name="c", server=0.1, inputs=("a",)),
    )
    found = min_cut(SplitTask(layers=layers, bandwidth=1e6))
    assert found.latency == pytest.approx(1.2)


def test_energy_and_latency_differ() -> None:
    """Sending costs less energy than computing, and more time."""
    task = SplitTask(
        layers=(Layer(name="a", device=0.1, server=0.1),),
        bandwidth=1e6,
        input=2e5,
        compute_power=5.0,
        send_power=1.0,
    )
    assert neurosurgeon(task, "latency").server == ()
    assert neurosurgeon(task, "energy").device == ()
    assert min_cut(task, "energy").energy == pytest.approx(0.2)


def test_a_chain_of_a_problem_becomes_a_task() -> None:
    fragments = (
        Fragment(name="capture", service=Deterministic(mean=0.0), output=1e6, allowed=("pi",)),
        Fragment(name="net", service=Deterministic(mean=0.4), output=10.0),
    )
    problem = Problem(
        devices=(Device(name="pi", power=(1.0, 3.0)), Device(name="server", speed=8.0)),
        chains=(Chain(name="c", arrivals=Poisson(rate=1.0), fragments=fragments),),
        links=(Link(source="pi", target="server", bandwidth=1e7, latency=0.01),),
    )
    task = split_task(problem, "c", "pi", "server")
    assert neurosurgeon(task).latency == pytest.approx(0.01 + 0.1 + 0.05)
    assert task.compute_power == 3.0
    assert not task.split(()).feasible
    unlinked = split_task(replace(problem, links=()), "c", "pi", "server")
    assert neurosurgeon(unlinked).latency == pytest.approx(0.05)
    with pytest.raises(InvalidInputError, match="server must be one of pi, server, got"):
        split_task(problem, "c", "pi", "cloud")


DOCUMENT = """
bandwidth: 5e6
delay: 2e-3
input: 150e3
layers:
  - {name: stem, device: 0.02, server: 2e-3, output: 800e3}
  - {name: left, device: 0.05, server: 4e-3, output: 100e3}
  - {name: right, device: 0.03, server: 3e-3, output: 100e3, inputs: [stem]}
  - {name: join, server: 1e-3, inputs: [left, right]}
"""


def test_a_task_is_read_from_yaml(tmp_path: Path) -> None:
    file = tmp_path / "split.yaml"
    file.write_text(DOCUMENT)
    task = read_split_task(file)
    assert task.reads() == {
        "stem": (),
        "left": ("stem",),
        "right": ("stem",),
        "join": ("left", "right"),
    }
    assert min_cut(task).to_dict()["feasible"]
    file.write_text(DOCUMENT.replace("left, right", "left, wrong"))
    with pytest.raises(InvalidInputError, match=r"join\.inputs must name layers before it"):
        read_split_task(file)
    file.write_text(DOCUMENT.replace("device: 0.02", "device: -1"))
    with pytest.raises(InvalidInputError, match=r"layers\[0\]\.device must be >= 0"):
        read_split_task(file)


def test_what_cannot_be_split_is_refused() -> None:
    layers = (Layer(name="a", device=0.1), Layer(name="b", device=0.1, inputs=()))
    task = SplitTask(layers=layers, bandwidth=1.0)
    with pytest.raises(InvalidInputError, match="layers must read the one before each"):
        neurosurgeon(task)
    with pytest.raises(InvalidInputError, match="goal must be one of latency, energy"):
        min_cut(task, "speed")  # type: ignore[arg-type]
    line = replace(task, layers=(layers[0], Layer(name="b", device=0.1)))
    with pytest.raises(InvalidInputError, match=r"b\.inputs must lie on the device with it"):
        line.split(["b"])
    with pytest.raises(InvalidInputError, match="slowdown must be finite and >= 1"):
        replace(task, slowdown=0.5)
    with pytest.raises(InvalidInputError, match=r"n\.device must be finite where server is not"):
        Layer(name="n")


def test_an_infeasible_split_is_null_in_json() -> None:
    layers = (Layer(name="a", server=0.1), Layer(name="b", device=0.1))
    found = min_cut(SplitTask(layers=layers, bandwidth=1.0))
    assert not found.feasible
    assert found.to_dict()["latency"] is None
    assert found.to_dict()["energy"] is None
