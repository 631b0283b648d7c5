"""Batches straight from stored data sets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from datagen.errors import InvalidInputError
from datagen.store import read_dataset
from surrogate.features.labels import Example
from surrogate.training.data import DeploymentData
from tests.surrogate.cases import close, random_deployments, write_dataset


def prepared(*folders: Path, **settings: object) -> DeploymentData:
    data = DeploymentData([str(path) for path in folders], **settings)  # type: ignore[arg-type]
    data.setup("fit")
    return data


def test_a_batch_is_one_example(tiny_dataset: Path) -> None:
    data = prepared(tiny_dataset, batch_size=16, validation_share=0.2)
    batches = list(data.train_dataloader())
    assert all(isinstance(batch, Example) for batch in batches)
    assert [len(batch) for batch in batches] == [16] * 3  # 48 deployments
    (loader,) = data.val_dataloader()
    assert [len(batch) for batch in loader] == [12]


def test_holds_out_the_last_of_every_folder(tiny_dataset: Path, tmp_path: Path) -> None:
    other = write_dataset(tmp_path / "other", random_deployments(10, seed=42))
    data = prepared(tiny_dataset, other, validation_share=0.1)
    held_out = [(name, rows.tolist()) for name, rows in data.held_out()]
    assert held_out == [(str(tiny_dataset), list(range(54, 60))), (str(other), [9])]
    assert len(data.train_dataloader().dataset) == 54 + 9
    assert len(data.val_dataloader()) == 2


def test_a_batch_holds_the_deployments_asked_for(tiny_dataset: Path, tmp_path: Path) -> None:
    other = write_dataset(tmp_path / "other", random_deployments(10, seed=42))
    pooled = prepared(tiny_dataset, other, validation_share=0.1).train_dataloader().dataset
    asked = [0, 54, 53, 62]  # 54 deployments of the first folder, then those of the other
    found = pooled.__getitems__(asked)
    expected = [
        read_dataset(path).measures([row]).chain["throughput_ratio"]
        for path, row in ((tiny_dataset, 0), (other, 0), (tiny_dataset, 53), (other, 8))
    ]
    ratio = found.targets.log_throughput_ratio.exp()
    close(ratio, torch.cat([torch.tensor(values) for values in expected]))


def test_one_deployment_is_an_example_too(tiny_dataset: Path) -> None:
    data = prepared(tiny_dataset)
    dataset = data.val_dataloader()[0].dataset
    close(dataset[0].arrays.step_mean, dataset.__getitems__([0]).arrays.step_mean)


def test_uses_no_more_than_the_limit(tiny_dataset: Path) -> None:
    data = prepared(tiny_dataset, limit=20, validation_share=0.5)
    assert len(data.train_dataloader().dataset) == 10


def test_a_sample_is_spread_over_the_training_part(tiny_dataset: Path) -> None:
    data = prepared(tiny_dataset)
    assert len(data.sample(20)) == 20
    assert len(data.sample(10_000)) == 57


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"train": []}, "train"),
        ({"train": ["x"], "batch_size": 0}, "batch_size"),
        ({"train": ["x"], "validation_share": 1.0}, "validation_share"),
    ],
)
def test_refuses_settings_by_name(settings: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInputError, match=f"^{field} must .*, got {field}="):
        DeploymentData(**settings)  # type: ignore[arg-type]


def test_refuses_a_folder_without_data(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError):
        prepared(tmp_path)


def test_validates_on_folders_of_their_own(tiny_dataset: Path, tmp_path: Path) -> None:
    other = write_dataset(tmp_path / "other", random_deployments(10, seed=42))
    data = prepared(tiny_dataset, validation=[str(other)])
    assert len(data.train_dataloader().dataset) == 60
    ((folder, rows),) = data.held_out()
    assert (folder, rows.tolist()) == (str(other), list(range(10)))
    (loader,) = data.val_dataloader()
    (batch,) = list(loader)
    expected = read_dataset(other).measures(range(10)).chain["throughput_ratio"]
    close(batch.targets.log_throughput_ratio.exp(), torch.tensor(expected))


def test_refuses_to_validate_on_what_it_trains_on(tiny_dataset: Path) -> None:
    with pytest.raises(InvalidInputError, match="^validation must name no data set"):
        DeploymentData([str(tiny_dataset)], validation=[str(tiny_dataset)])


def keys_of(examples: list[Example]) -> list[float]:
    """Something that tells deployments apart: the ratios of their chains."""
    return sorted(x for e in examples for x in e.targets.log_throughput_ratio.tolist())


def test_streams_every_deployment_once_in_another_order(tiny_dataset: Path, tmp_path: Path) -> None:
    other = write_dataset(tmp_path / "other", random_deployments(10, seed=42))
    third = write_dataset(tmp_path / "third", random_deployments(5, seed=43))
    data = prepared(tiny_dataset, other, validation=[str(third)], batch_size=14, window=1)
    loader = data.train_dataloader()
    first, second = list(loader), list(loader)
    assert [len(batch) for batch in first] == [14] * 5  # of 70
    assert len(loader) == 5
    whole = prepared(tiny_dataset, other, validation=[str(third)], batch_size=70)
    assert keys_of(first) == keys_of(list(whole.train_dataloader()))
    assert keys_of(second) == keys_of(first)
    assert any(
        a.targets.log_throughput_ratio.tolist() != b.targets.log_throughput_ratio.tolist()
        for a, b in zip(first, second, strict=True)
    )
    assert len(data.sample(20)) == 20


@pytest.mark.parametrize(
    ("settings", "field"),
    [({"window": 0}, "window"), ({"validation": None}, "validation"), ({"limit": 5}, "limit")],
)
def test_streaming_needs_sets_of_its_own_to_validate_on(
    settings: dict[str, object], field: str
) -> None:
    usual: dict[str, object] = {"train": ["x"], "validation": ["y"], "window": 2}
    with pytest.raises(InvalidInputError, match=f"^{field} must"):
        DeploymentData(**(usual | settings))  # type: ignore[arg-type]
