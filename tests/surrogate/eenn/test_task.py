from __future__ import annotations

import pytest

from datagen.errors import InvalidInputError
from surrogate.eenn.network import MultiExitNetwork
from surrogate.eenn.task import EarlyExitTask


def test_exits_weigh_as_wished() -> None:
    network = MultiExitNetwork(widths=(2, 2), strides=(1, 1))
    assert EarlyExitTask(network).shares == [0.5, 0.5]
    assert EarlyExitTask(network, exit_weights=[1.0, 3.0]).shares == [0.25, 0.75]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("exit_weights", [1.0], "exit_weights must hold 2 numbers >= 0, not all 0"),
        ("exit_weights", [0.0, 0.0], "exit_weights must hold 2"),
        ("exit_weights", [1.0, -1.0], "exit_weights must hold 2"),
        ("learning_rate", 0.0, "learning_rate must be > 0"),
        ("weight_decay", -1.0, "weight_decay must be >= 0"),
        ("warmup_share", 1.0, r"warmup_share must lie in \(0, 1\)"),
    ],
)
def test_bad_settings_are_refused(name: str, value: object, message: str) -> None:
    network = MultiExitNetwork(widths=(2, 2), strides=(1, 1))
    with pytest.raises(InvalidInputError, match=message):
        EarlyExitTask(network, **{name: value})  # type: ignore[arg-type]
