"""Every model that may be released obeys the laws of models."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from surrogate.models import MODELS, DeploymentNetwork
from tests.contracts.models import ModelContract


class TestModels(ModelContract):
    @pytest.fixture(params=sorted(MODELS))
    def build(self, request: pytest.FixtureRequest) -> Callable[[], DeploymentNetwork]:
        return MODELS[request.param]
