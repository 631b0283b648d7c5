"""Calibration: on shapes nobody trained on, with labels that are sharp, both checked."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest

from datagen.errors import InvalidInputError
from datagen.evaluation import pack
from datagen.store import read_dataset
from datagen.store.split import topology_hash
from surrogate.calibration import Labelled, label_noise, require_unseen, warn_of_noise
from surrogate.errors import CalibrationWarning
from tests.surrogate.cases import single
from tests.surrogate.releases import small_network


@pytest.fixture(scope="module")
def labelled(tiny_dataset: Path) -> Labelled:
    return Labelled.read(tiny_dataset, small_network())


def test_shapes_trained_on_are_refused(labelled: Labelled) -> None:
    batch = read_dataset(labelled.path).batch(laws=False)
    own = topology_hash(batch)
    alike = int((own == own[3]).sum())
    others = [pack([single()]), batch.select(np.array([3]))]
    rule = rf"calibration must hold no topology .*tiny with {alike} such"
    with pytest.raises(InvalidInputError, match=rule):
        require_unseen([labelled], others)


def test_shapes_nobody_trained_on_pass(labelled: Labelled) -> None:
    longer = single(means=(0.1,) * 9, hosts=range(9))  # than any random chain
    require_unseen([labelled], [pack([longer])])


def test_noise_is_told_from_standard_errors(labelled: Labelled) -> None:
    chain = dict(labelled.labels.chain)
    predicted = labelled.chains().predicted["throughput_ratio"].double().numpy()
    error = np.abs(predicted - chain["throughput_ratio"])
    chain["throughput_ratio_se"] = 0.5 * error
    sharp = dataclasses.replace(
        labelled, labels=dataclasses.replace(labelled.labels, chain=_columns(labelled, chain))
    )
    noise = label_noise(sharp)
    # The mean distance of a normal variable from its mean is 0.8 standard deviations.
    assert noise["throughput_ratio"] == pytest.approx(0.5 * np.sqrt(2 / np.pi), rel=1e-6)


def _columns(labelled: Labelled, chain: dict[str, np.ndarray]) -> object:
    columns = labelled.labels.chain
    return type(columns)(columns.level, columns.rows, chain)


def test_only_noisy_labels_are_warned_of() -> None:
    with pytest.warns(CalibrationWarning, match=r"rough: the noise of latency_ratio .* 0\.31 of"):
        warn_of_noise("rough", {"throughput_ratio": 0.1, "latency_ratio": 0.31})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_noise("sharp", {"throughput_ratio": 0.19, "latency_ratio": None})
