"""The queueing policy's linear program: golden mixes, the solver's optima, limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from datagen.analytic.two_moment_loss import largest_scv, two_moment_loss
from datagen.policies.queueing import best_mix
from tests.datagen.analytic.test_exit_ceiling import ACCURACY, TIMES, profiled

TIGHT, LOOSE = 0.000650920587688302, 0.01
"""Loss targets of the golden table: CEED's own, and one percent."""

GOLDEN = [
    (10, TIGHT, 1, 0.9216, 675.3, 0.044, {7: 0.839, 8: 0.161}, 3.40e-4),
    (10, TIGHT, 2, 0.8859, 335.0, 0.067, {5: 0.206, 6: 0.794}, 2.95e-4),
    (10, TIGHT, 3, 0.8199, 221.6, 0.092, {3: 0.494, 4: 0.189, 5: 0.317}, 4.19e-4),
    (10, TIGHT, 5, 0.7568, 132.5, 0.103, {2: 0.579, 3: 0.421}, 2.79e-4),
    (10, TIGHT, 8, 0.6974, 75.7, 0.392, {1: 0.711, 2: 0.289}, 1.37e-4),
    (10, TIGHT, 12, 0.6616, 51.4, 0.329, {0: 0.142, 1: 0.858}, 1.81e-4),
    (10, TIGHT, 20, 0.5872, 19.0, 2.540, {0: 0.714, 1: 0.286}, 8.47e-5),
    (10, LOOSE, 1, 0.9300, 804.9, 0.329, {8: 1.0}, 3.96e-3),
    (10, LOOSE, 2, 0.8971, 416.0, 0.159, {6: 0.764, 7: 0.236}, 8.12e-3),
    (10, LOOSE, 3, 0.8551, 278.3, 0.141, {3: 0.166, 5: 0.834}, 7.19e-3),
    (10, LOOSE, 5, 0.7857, 164.9, 0.206, {3: 0.937, 5: 0.063}, 6.33e-3),
    (10, LOOSE, 8, 0.7233, 100.1, 0.358, {1: 0.278, 2: 0.722}, 4.49e-3),
    (10, LOOSE, 12, 0.6887, 67.6, 0.285, {1: 0.855, 2: 0.145}, 5.83e-3),
    (10, LOOSE, 20, 0.6244, 35.2, 1.070, {0: 0.428, 1: 0.572}, 4.04e-3),
    (11, TIGHT, 1, 0.9242, 715.8, 0.012, {7: 0.577, 8: 0.423}, 4.27e-4),
    (11, TIGHT, 2, 0.8908, 351.2, 0.074, {6: 0.975, 7: 0.025}, 3.34e-4),
    (11, TIGHT, 3, 0.8254, 229.7, 0.138, {3: 0.496, 5: 0.504}, 3.74e-4),
    (11, TIGHT, 5, 0.7650, 140.6, 0.072, {2: 0.376, 3: 0.624}, 3.31e-4),
    (11, TIGHT, 8, 0.7060, 83.8, 0.231, {1: 0.567, 2: 0.433}, 2.61e-4),
    (11, TIGHT, 12, 0.6801, 59.5, 0.017, {1: 0.999, 2: 0.001}, 3.93e-4),
    (11, TIGHT, 20, 0.6058, 27.1, 1.076, {0: 0.571, 1: 0.429}, 3.36e-4),
    (11, LOOSE, 1, 0.9300, 804.9, 0.502, {8: 1.0}, 2.59e-3),
    (11, LOOSE, 2, 0.8979, 424.1, 0.198, {6: 0.737, 7: 0.263}, 7.57e-3),
    (11, LOOSE, 3, 0.8601, 286.4, 0.126, {3: 0.111, 5: 0.889}, 7.37e-3),
    (11, LOOSE, 5, 0.7907, 173.0, 0.088, {3: 0.882, 5: 0.118}, 9.21e-3),
    (11, LOOSE, 8, 0.7319, 108.2, 0.086, {1: 0.134, 2: 0.866}, 8.25e-3),
    (11, LOOSE, 12, 0.6887, 67.6, 0.452, {1: 0.855, 2: 0.145}, 3.98e-3),
    (11, LOOSE, 20, 0.6244, 35.2, 1.343, {0: 0.428, 1: 0.572}, 2.56e-3),
]
"""K, loss target, arrival rate, accuracy, mean service [ms], variability allowed, mix, exact loss:
the golden table of the digest, as printed there."""


@pytest.mark.parametrize(
    ("capacity", "target", "rate", "accuracy", "mean", "scv", "mix", "loss"), GOLDEN
)
def test_golden_table(
    capacity: int,
    target: float,
    rate: float,
    accuracy: float,
    mean: float,
    scv: float,
    mix: dict[int, float],
    loss: float,
) -> None:
    found = best_mix(rate, TIMES, ACCURACY, capacity, target)
    assert found.worth == pytest.approx(accuracy, abs=6e-5)
    assert 1e3 * found.mean == pytest.approx(mean, abs=0.06)
    assert found.largest_scv == pytest.approx(scv, abs=6e-4)
    assert {e: s for e, s in enumerate(found.mix) if s > 0} == pytest.approx(mix, abs=6e-4)
    exact = profiled(rate, capacity).measures(found.mix).loss_ratio
    assert exact == pytest.approx(loss, rel=6e-3)


def solved(
    rate: float, times: np.ndarray, squares: np.ndarray, worth: np.ndarray, capacity: int
) -> float:
    """The best worth over the same means, each program given to a solver."""
    best = -np.inf
    for mean in np.linspace(times.min(), times.max(), 25).tolist():
        scv = largest_scv(rate * mean, 0.02, capacity)
        if scv is None:
            continue
        bounded = np.isfinite(scv)
        found = linprog(
            -worth,
            A_ub=(squares / mean**2)[None] if bounded else None,
            b_ub=np.array([1.0 + scv]) if bounded else None,
            A_eq=np.stack([np.ones_like(times), times / mean]),
            b_eq=np.ones(2),
        )
        if found.success:
            best = max(best, -found.fun)
    return best


def test_vertices_are_the_solvers_optima() -> None:
    rng, without = np.random.default_rng(1), 0
    for _ in range(40):
        options = int(rng.integers(2, 7))
        times, worth = np.sort(rng.uniform(0.01, 1.0, options)), rng.uniform(size=options)
        variances = rng.uniform(0.0, 0.3) * times**2
        rate, capacity = float(rng.uniform(0.5, 10.0)), int(rng.integers(2, 12))
        best = solved(rate, times, times**2 + variances, worth, capacity)
        found = best_mix(rate, times, worth, capacity, 0.02, variances=variances, means=25)
        if not np.isfinite(best):
            without += 1
            assert found.mix[0] == 1.0  # nothing keeps the target: the quickest
            continue
        assert found.worth == pytest.approx(best, abs=1e-6)
        mean = float(found.mix @ times)
        scv = float(found.mix @ (times**2 + variances)) / mean**2 - 1.0
        assert two_moment_loss(rate * mean, max(scv, 0.0), capacity) <= 0.02 + 1e-6
    assert 0 < without < 30


def test_equal_options_are_no_trouble() -> None:
    found = best_mix(1.0, [0.2, 0.2, 0.2], [0.3, 0.5, 0.4], 5, 0.05)
    assert found.mix.sum() == pytest.approx(1.0)
