from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from datagen.arrivals import (
    ARRIVALS,
    Arrivals,
    MarkovArrivals,
    MarkovModulated,
    Periodic,
    PiecewisePoisson,
    Poisson,
    Recorded,
    Renewal,
    arrivals_from_parameters,
)
from datagen.errors import InvalidInputError
from tests.datagen.strategies import arrivals


@given(arrivals())
def test_parameters_rebuild_the_process(process: Arrivals) -> None:
    code = list(ARRIVALS).index(process.name)
    assert arrivals_from_parameters(code, np.array(process.parameters())) == process


@pytest.mark.parametrize(
    ("process", "rate", "scv"),
    [
        (Poisson(rate=2.0), 2.0, 1.0),
        (Renewal(mean=0.5, scv=3.0), 2.0, 3.0),
        (Periodic(period=0.5), 2.0, 0.0),
        (Periodic(period=1.0, jitter=1.0), 1.0, 1 / 6),
        (MarkovModulated(rates=(2.0, 2.0), switch=(1.0, 3.0)), 2.0, 1.0),
        # A Poisson process switched on and off is a renewal process whose interarrival time has a
        # hyperexponential law: rate 1 on average here, E[T^2] = 6.
        (MarkovModulated(rates=(2.0, 0.0), switch=(1.0, 1.0)), 1.0, 2.0),
        (MarkovArrivals(d0=((-3.0,),), d1=((3.0,),)), 3.0, 1.0),
        # Two exponential stages of rate 4: Erlang-2 interarrival times.
        (MarkovArrivals(d0=((-4.0, 4.0), (0.0, -4.0)), d1=((0.0, 0.0), (4.0, 0.0))), 2.0, 0.5),
        (PiecewisePoisson(times=(0.0, 9.0), rates=(5.0, 2.0)), 2.0, 1.0),
        (Recorded(timestamps=(1.0, 2.0, 3.0, 4.0)), 1.0, 0.0),
    ],
    ids=repr,
)
def test_rates_and_variability(process: Arrivals, rate: float, scv: float) -> None:
    assert process.rate == pytest.approx(rate)
    assert process.scv == pytest.approx(scv)


@pytest.mark.parametrize(
    ("cls", "fields", "message"),
    [
        (Poisson, {"rate": -2.0}, "rate must be finite and > 0, got rate=-2.0"),
        (Renewal, {"mean": 1.0, "scv": 0.0}, "scv must be finite and > 0"),
        (Periodic, {"period": 1.0, "jitter": 1.5}, r"jitter must lie in \[0, period\]"),
        (MarkovModulated, {"rates": (0, 0), "switch": (1, 1)}, "rates must not both be 0"),
        (MarkovModulated, {"rates": (1, 2), "switch": (0, 1)}, "switch must be > 0"),
        (MarkovArrivals, {"d0": ((-1.0,),), "d1": ((2.0,),)}, "d0 must make every row"),
        (MarkovArrivals, {"d0": ((-1.0, 1.0),), "d1": ((2.0,),)}, "d0 must be a square"),
        (
            MarkovArrivals,
            {"d0": ((-1.0, 1.0), (0.0, 0.0)), "d1": ((0.0, 0.0), (0.0, 0.0))},
            "d1 must be >= 0",
        ),
        (
            MarkovArrivals,
            {"d0": ((-2.0, 1.0), (0.0, 0.0)), "d1": ((1.0, 0.0), (0.0, 0.0))},
            "d0 must lead from every phase to an arrival",
        ),
        (PiecewisePoisson, {"times": (1.0,), "rates": (1.0,)}, "times must start at 0"),
        (PiecewisePoisson, {"times": (0.0, 0.0), "rates": (1.0, 1.0)}, "times must increase"),
        (PiecewisePoisson, {"times": (0.0,), "rates": (0.0,)}, "rates must be finite and >= 0"),
        (Recorded, {"timestamps": ()}, "timestamps must be finite"),
        (Recorded, {"timestamps": (2.0, 1.0)}, "timestamps must not decrease"),
        # Numbers whose inverses or squares no float holds.
        (Poisson, {"rate": 1e-320}, r"rate must lie in \[1e-100, 1e\+100\], got rate=1e-320"),
        (Poisson, {"rate": 1e300}, r"rate must lie in \[1e-100"),
        (Renewal, {"mean": 1e-320, "scv": 1.0}, r"mean must lie in \[1e-100, 1e\+100\]"),
        (Renewal, {"mean": 1.0, "scv": 1e17}, r"scv must lie in \[1e-12, 1e\+12\], got scv=1e\+17"),
        (Periodic, {"period": 1e-320}, r"period must lie in \[1e-100"),
        (MarkovModulated, {"rates": (1e-320, 0), "switch": (1, 1)}, "rates must lie in"),
        (MarkovModulated, {"rates": (1, 0), "switch": (1, 1e-320)}, "switch must lie in"),
        (MarkovArrivals, {"d0": ((-1e-320,),), "d1": ((1e-320,),)}, "d0 must lie in"),
        (MarkovArrivals, {"d0": ((-1e300,),), "d1": ((1e300,),)}, "d0 must lie in"),
        (PiecewisePoisson, {"times": (0.0,), "rates": (1e-320,)}, "rates must lie in"),
        (PiecewisePoisson, {"times": (0.0, 1.0), "rates": (1e300, 1.0)}, "rates must be at most"),
        (Recorded, {"timestamps": (1e-320,)}, "timestamps must lie in"),
    ],
)
def test_bad_parameters_are_refused(cls: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        cls(**fields)


@pytest.mark.parametrize(
    ("cls", "stationary", "random"),
    [
        (Poisson, True, True),
        (Renewal, True, True),
        (Periodic, True, True),
        (MarkovModulated, True, True),
        (MarkovArrivals, True, True),
        (PiecewisePoisson, False, True),
        (Recorded, False, False),
    ],
)
def test_processes_say_how_they_are_played(cls: Any, stationary: bool, random: bool) -> None:
    assert (cls.is_stationary, cls.is_random) == (stationary, random)


def test_schedules_expect_what_their_pieces_bring() -> None:
    process = PiecewisePoisson(times=(0.0, 10.0, 30.0), rates=(5.0, 0.0, 2.0))
    found = [process.expected(horizon) for horizon in (4.0, 10.0, 20.0, 35.0)]
    assert found == [20.0, 50.0, 50.0, 60.0]
    assert Poisson(rate=2.0).expected(35.0) == 70.0
