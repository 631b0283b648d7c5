"""What a batch configuration accepts."""

from __future__ import annotations

from typing import Any

import pytest

from datagen.errors import InvalidInputError
from datagen.npu import BATCH_POLICIES, LARGEST_BATCH, BatchConfig, batch_policy


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"policy": "greedy"}, "policy must be one of serial, static, dynamic, edf, lazy, exit_"),
        ({"policy": "dynamic", "max_batch": 0}, "max_batch must be a whole number in 1..1024"),
        ({"policy": "dynamic", "max_batch": 2.5}, "max_batch must be a whole number"),
        ({"policy": "dynamic", "max_batch": LARGEST_BATCH + 1}, "max_batch must be a whole number"),
        ({"policy": "serial", "max_batch": 2}, "max_batch must be 1 with serial, got max_batch=2"),
        ({"policy": "static", "max_batch": 2, "timeout": 0.1}, "timeout must be 0 with static"),
        ({"policy": "dynamic", "timeout": -1.0}, "timeout must be finite and >= 0"),
        ({"policy": "exit_aware", "survivors": "best"}, "survivors must be worst or expected"),
        ({"policy": "lazy", "survivors": "expected"}, "survivors must be worst but with exit_"),
    ],
)
def test_configurations_refuse_what_has_no_meaning(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        BatchConfig(**fields)


def test_numbers_are_kept_in_one_form() -> None:
    config = BatchConfig(policy="dynamic", max_batch=8.0, timeout=1)  # type: ignore[arg-type]
    assert (config.max_batch, type(config.max_batch)) == (8, int)
    assert type(config.timeout) is float


def test_every_policy_has_its_own_rules() -> None:
    found = {type(batch_policy(code)) for code in range(len(BATCH_POLICIES))}
    assert len(found) == len(BATCH_POLICIES)
    assert type(batch_policy(len(BATCH_POLICIES) - 1, expectant=True)) not in found
