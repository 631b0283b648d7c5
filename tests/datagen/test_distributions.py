from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from datagen.distributions import (
    LAWS,
    Deterministic,
    Empirical,
    Erlang,
    Exponential,
    Gamma,
    HyperExponential,
    Law,
    LogNormal,
    Uniform,
    law_from_parameters,
)
from datagen.errors import InvalidInputError
from tests.datagen.strategies import laws

EXAMPLES = [
    Deterministic(mean=0.5),
    Exponential(mean=0.5),
    Erlang(mean=0.5, stages=3),
    Gamma(mean=0.5, scv=0.4),
    Gamma(mean=0.5, scv=2.5),
    HyperExponential(mean=0.5, scv=3.0),
    HyperExponential(mean=0.5, scv=1.0),
    LogNormal(mean=0.5, scv=0.3),
    Uniform(low=0.2, high=0.9),
    Empirical(values=(0.1, 0.1, 0.4, 2.0)),
]


def test_every_law_has_an_example() -> None:
    assert {type(law) for law in EXAMPLES} == set(LAWS.values())


@pytest.mark.parametrize("law", EXAMPLES, ids=repr)
def test_quantiles_have_the_moments_of_the_law(law: Law) -> None:
    # Midpoints of equal slices of probability: an integral, not a sample, so no statistics.
    count = 400_000
    x = law.quantile((np.arange(count) + 0.5) / count)
    # The slice that is cut off a heavy tail carries up to a few 1e-4 of the second moment.
    assert x.mean() == pytest.approx(law.mean, rel=1e-4)
    assert x.var() / law.mean**2 == pytest.approx(law.scv, rel=5e-3, abs=1e-12)


@pytest.mark.parametrize("law", EXAMPLES, ids=repr)
def test_quantiles_rise_from_zero_on_and_keep_their_shape(law: Law) -> None:
    u = np.linspace(0.0, 1.0 - 2.0**-53, 1001).reshape(7, 143)
    x = law.quantile(u)
    assert x.shape == u.shape
    assert np.all(np.isfinite(x))
    assert np.all(x >= 0)
    assert np.all(np.diff(x.ravel()) >= 0)


@given(laws())
def test_parameters_rebuild_the_law(law: Law) -> None:
    assert law_from_parameters(list(LAWS).index(law.name), np.array(law.parameters())) == law


def test_only_deterministic_laws_draw_nothing() -> None:
    assert [law.name for law in EXAMPLES if not law.is_random] == ["deterministic"]


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (Deterministic, {"mean": -1.0}, "mean must be finite and >= 0"),
        (Exponential, {"mean": float("nan")}, "mean must be finite"),
        (Erlang, {"mean": 1.0, "stages": 0}, "stages must be an integer >= 1"),
        (Erlang, {"mean": 1.0, "stages": 1.5}, "stages must be an integer >= 1"),
        (Gamma, {"mean": 1.0, "scv": 0.0}, "scv must be finite and > 0"),
        (HyperExponential, {"mean": 1.0, "scv": 0.5}, "scv must be finite and >= 1"),
        (LogNormal, {"mean": 1.0, "scv": float("inf")}, "scv must be finite and > 0"),
        (Uniform, {"low": 2.0, "high": 1.0}, "high must be finite and >= low=2.0"),
        (Empirical, {"values": ()}, "values must hold at least one number"),
        (Empirical, {"values": (1.0, -1.0)}, "values must be finite and >= 0"),
        # Beyond what sampling can follow, or floats can square.
        (HyperExponential, {"mean": 1.0, "scv": 1e17}, r"scv must lie in \[1e-12, 1e\+12\]"),
        (Gamma, {"mean": 1.0, "scv": 1e-300}, r"scv must lie in \[1e-12, 1e\+12\]"),
        (Erlang, {"mean": 1.0, "stages": 10**13}, r"stages must be at most 1e\+12"),
        (Exponential, {"mean": 1e300}, r"mean must be at most 1e\+100, got mean=1e\+300"),
        (Uniform, {"low": 0.0, "high": 1e300}, r"high must be at most 1e\+100"),
        (Empirical, {"values": (1.0, 1e300)}, r"values must be at most 1e\+100"),
    ],
)
def test_bad_parameters_are_refused(cls: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        cls(**fields)


@pytest.mark.parametrize(
    "law",
    [
        Erlang(mean=0.5, stages=10**12),
        Gamma(mean=0.5, scv=1e-12),
        Gamma(mean=0.5, scv=1e12),
        HyperExponential(mean=0.5, scv=1e12),
        LogNormal(mean=0.5, scv=1e12),
        Exponential(mean=1e100),
    ],
    ids=repr,
)
def test_laws_at_the_ends_of_their_range_give_numbers(law: Law) -> None:
    x = law.quantile(np.linspace(1e-9, 1.0 - 2.0**-53, 1001))
    assert np.all(np.isfinite(x))
    assert np.all(x >= 0)
