"""Every model that may be released obeys the laws of models."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from surrogate.models import MODELS, ChainNet, DeploymentNetwork
from tests.contracts.models import ModelContract

BUILDS: dict[str, Callable[[], DeploymentNetwork]] = {
    **MODELS,
    "ChainNet with companions": partial(ChainNet, companions=True),
}


class TestModels(ModelContract):
    @pytest.fixture(params=sorted(BUILDS))
    def build(self, request: pytest.FixtureRequest) -> Callable[[], DeploymentNetwork]:
        return BUILDS[request.param]
