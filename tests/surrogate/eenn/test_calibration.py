from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from datagen.errors import InvalidInputError
from surrogate.eenn.calibration import CalibratedExits, calibration_error, fit_temperatures


def test_temperatures_that_spoiled_the_logits_are_found() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(20_000, 4)) * 2
    labels = (true + rng.gumbel(size=true.shape)).argmax(axis=1)  # drawn by their softmax
    spoiled = np.stack([true * 3.0, true, true * 0.5], axis=1)
    assert fit_temperatures(spoiled, labels) == pytest.approx([3.0, 1.0, 0.5], rel=0.05)


def test_a_calibrated_network_divides_by_them() -> None:
    class Three(nn.Module):
        def forward(self, x: torch.Tensor, exits: int = 3) -> list[torch.Tensor]:
            return [x, 2 * x, 4 * x][:exits]

    calibrated = CalibratedExits(Three(), [0.5, 1.0, 2.0])
    x = torch.rand(2, 3)
    assert all(torch.equal(logits, 2 * x) for logits in calibrated(x))
    assert len(calibrated(x, 2)) == 2
    assert calibrated.state_dict()["temperatures"].tolist() == [0.5, 1.0, 2.0]
    with pytest.raises(InvalidInputError, match="temperatures must be finite and > 0"):
        CalibratedExits(Three(), [1.0, 0.0])


def test_calibration_error_is_the_gap_by_bins() -> None:
    confidences = np.array([[0.95, 0.5], [0.95, 0.5], [0.95, 0.9], [0.95, 1.0]])
    correct = np.array([[1, 1], [1, 0], [0, 0], [0, 1]])
    assert calibration_error(confidences, correct) == pytest.approx([0.45, 0.9 / 4])
