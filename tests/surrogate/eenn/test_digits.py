from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from datagen.errors import InvalidInputError
from surrogate.eenn.digits import CONTEXTS, DigitsData, ImageContext
from surrogate.errors import ConfigError

pytest.importorskip("sklearn")


@pytest.fixture(scope="module")
def data() -> DigitsData:
    data = DigitsData(limit=100)
    data.setup()
    return data


def test_images_are_split_and_keep_their_contexts_together(data: DigitsData) -> None:
    assert {part: len(chosen) for part, chosen in data.parts.items()} == {
        "train": 50,
        "calibration": 30,
        "test": 20,
    }
    seen: list[set[int]] = []
    for part in data.parts:
        ((images, labels, context, group),) = list(data.samples(part))
        assert images.shape == (5 * len(data.parts[part]), 1, 16, 16)
        assert images.min() >= 0
        assert images.max() <= 1
        assert context.tolist() == list(range(5)) * len(data.parts[part])
        assert labels.tolist() == data.labels[group].tolist()
        assert np.array_equal(group[::5], data.parts[part])
        seen.append(set(group.tolist()))
        assert torch.equal(images[::5], data.images[data.parts[part]])  # the first one is clean
    assert len(set.union(*seen)) == sum(map(len, seen)) == 100


def test_samples_are_the_same_each_time_and_by_seed(data: DigitsData) -> None:
    ((first, *_),) = list(data.samples("test"))
    torch.manual_seed(5)
    ((again, *_),) = list(DigitsData.from_settings(data.settings).samples("test"))
    assert torch.equal(first, again)
    other = DigitsData(limit=100, seed=1)
    other.setup()
    assert other.parts["test"].tolist() != data.parts["test"].tolist()


def test_training_meets_every_context(data: DigitsData) -> None:
    torch.manual_seed(0)
    clean = data.images[data.parts["train"]]
    known = 0
    for images, labels in [batch for _ in range(4) for batch in data.train_dataloader()]:
        assert len(images) == len(labels) == 50
        known += sum(bool((image == clean).flatten(1).all(1).any()) for image in images)
    # One in five is clean: 40 of 200, with a standard deviation of 5.7.
    assert 17 <= known <= 63


def test_blur_spreads_and_noise_stays_in_range() -> None:
    point = torch.zeros(1, 1, 31, 31)
    point[0, 0, 15, 15] = 1.0
    blurred = CONTEXTS[1].apply(point)
    assert blurred.sum().item() == pytest.approx(1.0, abs=1e-5)
    offsets = torch.arange(31) - 15.0
    spread = (blurred.sum(dim=2) * offsets**2).sum().sqrt().item()
    assert spread == pytest.approx(CONTEXTS[1].blur, rel=0.05)
    grey = torch.full((1, 1, 100, 100), 0.5)
    noisy = ImageContext(name="n", noise=0.1).apply(grey, torch.Generator().manual_seed(0))
    assert noisy.std().item() == pytest.approx(0.1, rel=0.05)
    wild = CONTEXTS[4].apply(grey)
    assert (wild.min().item(), wild.max().item()) == (0.0, 1.0)


def test_bad_settings_are_refused() -> None:
    for settings, message in (
        ({"size": 4}, "size must be >= 8"),
        ({"contexts": ()}, "contexts must hold at least one"),
        ({"batch_size": 0}, "batch_size must be >= 1"),
        ({"limit": 3}, "limit must be >= 10"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            DigitsData(**settings)  # type: ignore[arg-type]
    for settings in ({"name": ""}, {"name": "n", "blur": -1.0}, {"name": "n", "noise": np.nan}):
        with pytest.raises(InvalidInputError, match="must be"):
            ImageContext(**settings)  # type: ignore[arg-type]


def test_what_brings_the_images_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ConfigError, match=r"scikit-learn must be installed: .*\[eenn\]"):
        DigitsData().setup()
