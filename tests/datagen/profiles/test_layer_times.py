"""Times of layers from their sizes: what made them is found again, and real ones are near."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datagen.errors import InvalidInputError
from datagen.profiles.ceed import read_ceed
from datagen.profiles.layer_times import LayerTimes, Measured, read_layer_profile

TRUE = {
    "convolution": {"": 2e-4, "operations": 1.5e-9, "output": 4e-9},
    "dense": {"": 5e-5, "weights": 2e-9},
}

TABLE = """kind,time,operations,output,weights
convolution,1.0e-2,5e6,2e5,
dense,1.2e-3,,,5e5

convolution,2.0e-2,1e7,4e5,
dense,2.2e-3,,,1e6
"""


def profile(noise: float, *, count: int = 60) -> list[Measured]:
    rng = np.random.default_rng(3)
    found = []
    for kind, each in TRUE.items():
        for _ in range(count):
            features = {name: float(10 ** rng.uniform(5, 8)) for name in each if name}
            time = each[""] + sum(each[name] * size for name, size in features.items())
            factor = float(np.exp(noise * rng.standard_normal()))
            found.append(Measured(kind=kind, features=features, time=time * factor))
    return found


def test_exact_times_give_the_coefficients_back() -> None:
    found = LayerTimes.fit(profile(0.0))
    for kind, each in TRUE.items():
        assert dict(found.coefficients[kind]) == pytest.approx(each, rel=1e-6)


def test_noise_averages_out_and_no_coefficient_is_negative() -> None:
    found = LayerTimes.fit(profile(0.2))
    exact = profile(0.0)
    assert np.abs(found.relative_errors(exact)).mean() < 0.1
    assert min(min(each.values()) for each in found.coefficients.values()) >= 0


def test_a_profile_is_read_from_csv(tmp_path: Path) -> None:
    file = tmp_path / "layers.csv"
    file.write_text(TABLE)
    layers = read_layer_profile(file)
    assert [layer.kind for layer in layers] == ["convolution", "dense"] * 2
    assert dict(layers[1].features) == {"weights": 5e5}
    times = LayerTimes.fit(layers)
    assert times.predict("dense", {"weights": 2e6}) == pytest.approx(4.2e-3)
    assert times.predict("convolution", {"operations": 2e7, "output": 8e5}) == pytest.approx(4e-2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "profile must not be empty"),
        ("kind,size\nconv,1\n", "profile must have a column time"),
        ("kind,time,time\n", "profile must name each column once"),
        ("kind,time\nconv,soon\n", r"line 2 time must be a number, got line 2 time='soon'"),
        ("kind,time\nconv,\n", "line 2 time must be a number"),
        ("kind,time\nconv,0\n", r"line 2\.time must be finite and > 0"),
        ("kind,time\nconv,1\nconv\n", "line 3 must have 2 cells"),
        ("kind,time,size\nconv,1,-2\n", r"line 2\.size must be finite and >= 0"),
    ],
)
def test_bad_profiles_name_the_place(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "layers.csv"
    file.write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        read_layer_profile(file)


def test_what_was_not_measured_is_refused() -> None:
    times = LayerTimes.fit(profile(0.0))
    with pytest.raises(InvalidInputError, match="kind must be one of convolution, dense"):
        times.predict("pooling", {})
    with pytest.raises(InvalidInputError, match=r"features must be \['weights'\]"):
        times.predict("dense", {"operations": 1.0})
    with pytest.raises(InvalidInputError, match="profile must hold at least one layer"):
        LayerTimes.fit([])
    mixed = [*profile(0.0), Measured(kind="dense", features={}, time=1.0)]
    with pytest.raises(InvalidInputError, match="features of dense must be"):
        LayerTimes.fit(mixed)
    with pytest.raises(InvalidInputError, match="profile must be a readable CSV file"):
        read_layer_profile("absent.csv")


def test_measured_blocks_of_a_network_are_near_their_predictions(public_data: Path) -> None:
    """Each bottleneck of a measured ResNet-50 from the 15 others."""
    folder = public_data / "ceed"
    if not folder.is_dir():
        pytest.skip("public data are absent: there is no folder ceed")
    found = read_ceed(folder / "model_profile.json", folder / "system_profile.json")
    blocks = [
        Measured(
            kind="bottleneck",
            features={"weights": weights, "output": output},
            time=time.mean,
        )
        for name, time, weights, output in zip(
            found.layers, found.times, found.weights, found.output, strict=True
        )
        if "Bottleneck" in name
    ]
    assert len(blocks) == 16
    errors = []
    for left_out, block in enumerate(blocks):
        times = LayerTimes.fit(blocks[:left_out] + blocks[left_out + 1 :])
        errors.append(float(np.abs(times.relative_errors([block])[0])))
    assert np.median(errors) < 0.2
