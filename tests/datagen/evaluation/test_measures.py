from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from datagen.evaluation import Measures, pack
from tests.helpers import tandem

BATCH = pack([tandem(0, 1), tandem(0)])


def measures(**chain: np.ndarray) -> Measures:
    return Measures.of(BATCH, "simulation", chain=chain)


def test_the_system_loss_is_weighted_by_what_is_offered() -> None:
    one = pack([tandem(0)])
    given = {"offered": np.array([10.0]), "lost": np.array([4.0])}
    assert Measures.of(one, "simulation", chain=given).deployment["loss_ratio"].tolist() == [0.4]


def test_what_is_unknown_reads_as_undefined() -> None:
    found = measures(latency=np.array([1.0, np.nan]))
    assert np.isnan(found.chain["p95"]).all()
    assert found.deployment["unstable"].tolist() == [False, False]
    assert found.deployment["precise"].tolist() == [True, True]
    with pytest.raises(KeyError, match="unknown chain measure 'latncy'"):
        found.chain["latncy"]
    with pytest.raises(KeyError, match="unknown"):
        measures(latncy=np.zeros(2))
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        measures(latency=np.zeros(3))


def test_views_are_named() -> None:
    found = measures(latency=np.array([1.0, np.nan]), latency_se=np.array([0.1, np.nan]))
    assert found[0].chains["c"].latency == 1.0
    assert found[0].chains["c"].latency_se == 0.1
    assert found[-1].chains["c"].as_dict() == {"latency": None, "latency_se": None}
    assert list(found[0].devices) == ["d0", "d1"]
    assert len(found[0].steps) == 2
    assert math.isnan(found[1].steps[0].sojourn)
    assert not found[0].unstable
    with pytest.raises(IndexError):
        found[2]
    with pytest.raises(AttributeError):
        found[0].chains["c"].latncy  # noqa: B018


def test_measures_cross_processes() -> None:
    found = measures(latency=np.array([1.0, 2.0]))
    again = pickle.loads(pickle.dumps(found))
    assert again.chain["latency"].tolist() == [1.0, 2.0]
    assert np.isnan(again.chain["p50"]).all()
