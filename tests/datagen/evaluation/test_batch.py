from __future__ import annotations

import numpy as np
import pytest

from datagen.evaluation import concatenate, pack
from datagen.evaluation.fields import ranges, starts_of
from tests.datagen.evaluation.test_packing import same
from tests.helpers import tandem

MANY = [tandem(0, 1), tandem(0), tandem(2, 1, 2, 0)]


def test_concatenating_undoes_selecting() -> None:
    batch = pack(MANY)
    assert same(concatenate(list(batch)), batch)
    assert same(concatenate([batch]), batch)


def test_owners_and_rows_span_the_batch() -> None:
    batch = pack(MANY)
    assert batch.owner("device").tolist() == [0, 0, 1, 2, 2, 2]
    assert batch.owner("step").tolist() == [0, 0, 1, 2, 2, 2, 2]
    assert batch.step_chain.tolist() == [0, 0, 1, 2, 2, 2, 2]
    assert batch.step_device_row.tolist() == [0, 1, 2, 5, 4, 5, 3]


def test_joining_with_and_without_laws_leaves_them_out() -> None:
    from datagen.evaluation.packing import DeploymentTables

    tables = DeploymentTables(MANY[0])
    bare = tables.rows(tables.base_placement()[None], laws=False)
    joined = concatenate([pack(MANY[:1]), bare])
    assert len(joined) == 2
    assert not joined.has("fragment")


def test_ranges_and_starts() -> None:
    assert ranges(np.array([3, 9, 0]), np.array([2, 0, 1])).tolist() == [3, 4, 0]
    assert ranges(np.array([], dtype=np.int64), np.array([], dtype=np.int64)).tolist() == []
    assert starts_of(np.array([2, 0, 1])).tolist() == [0, 2, 2, 3]


def test_an_unknown_row_is_an_error() -> None:
    with pytest.raises(IndexError):
        pack(MANY).select([3])
