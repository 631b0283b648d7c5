from __future__ import annotations

import numpy as np
import pytest

from datagen.evaluation import pack
from datagen.evaluation.loads import chain_load, fluid_load, offered_load, unstable
from tests.helpers import tandem


def test_loads_of_a_tandem() -> None:
    # Works of 0.1, 0.2 and 0.3 s; the third runs on device 0 again.
    batch = pack([tandem(0, 1, 0, rate=2.0)])
    assert offered_load(batch) == pytest.approx([0.8, 0.4])
    assert chain_load(batch) == pytest.approx([0.8])


def test_overload_is_passed_on_thinned() -> None:
    batch = pack([tandem(0, 1, rate=20.0)])
    assert offered_load(batch) == pytest.approx([2.0, 4.0])
    assert fluid_load(batch) == pytest.approx([2.0, 2.0])


def test_only_unlimited_buffers_are_unstable() -> None:
    batch = pack([tandem(0, rate=20.0), tandem(0, rate=20.0, capacity=None), tandem(0)])
    assert unstable(batch).tolist() == [False, True, False]
    assert np.isinf(batch.device_capacity).tolist() == [False, True, False]
