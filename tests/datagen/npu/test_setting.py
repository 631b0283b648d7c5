from __future__ import annotations

import numpy as np
import pytest

from datagen.deployment import BatchConfig, Npu
from datagen.errors import InvalidInputError
from datagen.npu import BatchSetting, BatchTable

MEASURED = Npu(table=BatchTable(seconds=np.ones((1, 2))))
MODELLED = Npu(network="resnet50", array="wide")


def test_a_setting_names_a_known_variant() -> None:
    with pytest.raises(InvalidInputError, match="variant must be one of fixed"):
        BatchSetting(config=BatchConfig(), variant="liquid")


def test_a_variant_is_of_modelled_arrays() -> None:
    fluid = BatchSetting(config=BatchConfig(), variant="fluid")
    assert fluid.suits(MODELLED)
    assert not fluid.suits(MEASURED)
    assert fluid.applied(MODELLED) == Npu(network="resnet50", array="wide", variant="fluid")
    assert fluid.applied(MEASURED) == MEASURED
    assert BatchSetting(config=BatchConfig()).applied(MODELLED) == MODELLED
