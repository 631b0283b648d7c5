"""Placement through a surrogate's gradient: a twin that tells the truth, and where it leads."""

from __future__ import annotations

import numpy as np
import pytest

from datagen.errors import InvalidInputError
from datagen.simulator import SimulationEvaluator, SimulationOptions
from datagen.splitting import LeastLoaded, Placer
from surrogate.evaluator import SurrogateEvaluator, load_surrogate
from surrogate.optimizers.split_placement import PIECE, GradientPlacer, twin

SECONDS = np.array([400.0, 400.0, 300.0, 300.0, 500.0])
BACKLOG = np.array([0.0, 900.0, 2500.0, 600.0, 2.0])


@pytest.fixture(scope="module")
def surrogate() -> SurrogateEvaluator:
    return load_surrogate("chainnet")


class First(Placer):
    """Everything on the host that has most to do."""

    def place(self, seconds: np.ndarray, backlog: np.ndarray) -> np.ndarray:
        return np.full(len(seconds), np.argmax(backlog))


def test_the_twin_waits_for_the_backlog(surrogate: SurrogateEvaluator) -> None:
    twins = [twin(SECONDS, BACKLOG, host) for host in range(len(SECONDS))]
    simulated = SimulationEvaluator(SimulationOptions(events=2e5, seed=1)).evaluate(twins)
    predicted = surrogate.evaluate(twins)
    # A backlog of 2 s counts as none beside pieces of 300 s; the piece's own stream is thin, not
    # nothing, hence the tolerance.
    expected = SECONDS + np.where(BACKLOG > 3.0, BACKLOG, 0.0)
    for host, whole in enumerate(expected):
        for measures, close in ((simulated, 0.06), (predicted, 0.12)):
            latency = measures[host].chains[PIECE].latency
            assert latency == pytest.approx(whole, rel=close), (host, measures.source)


def test_it_leads_from_the_worst_start_to_the_best_host(surrogate: SurrogateEvaluator) -> None:
    placer = GradientPlacer(surrogate, First())
    (host,) = placer.place(SECONDS[None], BACKLOG)
    assert host == 0  # done after 400 s; the next best after 502 s
    rng = np.random.default_rng(3)
    for _ in range(3):
        seconds = rng.uniform(300.0, 900.0, (1, 8))
        backlog = rng.exponential(900.0, 8)
        done = seconds[0] + backlog
        (host,) = placer.place(seconds, backlog)
        assert done[host] <= 1.15 * done.min()
        assert done[host] < 0.5 * done[np.argmax(backlog)]


def test_pieces_do_not_all_go_to_the_same_host(surrogate: SurrogateEvaluator) -> None:
    seconds, backlog = np.full((4, 4), 300.0), np.zeros(4)
    hosts = GradientPlacer(surrogate).place(seconds, backlog)
    assert sorted(hosts.tolist()) == [0, 1, 2, 3]
    assert backlog.tolist() == [0.0] * 4  # what is handed in stays as it was
    assert sorted(LeastLoaded().place(seconds, backlog).tolist()) == [0, 1, 2, 3]


def test_the_surrogate_stays_frozen(surrogate: SurrogateEvaluator) -> None:
    before = [p.detach().clone() for p in surrogate.release.network.parameters()]
    GradientPlacer(surrogate).place(SECONDS[None], BACKLOG)
    after = list(surrogate.release.network.parameters())
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
    assert all(p.grad is None for p in after)


def test_something_has_to_be_tried(surrogate: SurrogateEvaluator) -> None:
    with pytest.raises(InvalidInputError, match="tried must be >= 1"):
        GradientPlacer(surrogate, tried=0)
