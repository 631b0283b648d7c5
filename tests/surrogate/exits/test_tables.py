"""Confidence tables tell shares as counting does, and mix as contexts do."""

from __future__ import annotations

import numpy as np
import torch

from datagen.exits import ExitTrace
from surrogate.exits.tables import lookup, table_of
from tests.surrogate.exits.cases import CONTEXTS, EXITS, KNOTS, made_up_trace


def test_shares_at_knots_are_counted() -> None:
    trace = made_up_trace()
    table = table_of(trace, KNOTS)
    for knot in range(KNOTS):
        tau = table.knots[:, knot].repeat(CONTEXTS, 1)
        right, wrong = lookup(table, tau, torch.arange(CONTEXTS))
        for context in range(CONTEXTS):
            chosen = trace.context == context
            reached = trace.confidences[chosen] >= tau[context].numpy()
            correct = trace.correct[chosen]
            assert np.allclose(right[context], (reached & correct).mean(axis=0))
            assert np.allclose(wrong[context], (reached & ~correct).mean(axis=0))


def test_shares_fall_between_knots() -> None:
    table = table_of(made_up_trace(), KNOTS)
    tau = torch.linspace(0, 1.2, 400, dtype=torch.float64)[:, None].expand(-1, EXITS)
    for shares in lookup(table, tau, torch.ones(400, dtype=torch.long)):
        assert (shares.diff(dim=0) <= 1e-12).all()
        assert len(shares[:, 0].unique()) > 200


def test_a_mixture_has_the_table_of_mixed_samples() -> None:
    trace = made_up_trace()
    table = table_of(trace, KNOTS)
    mixed = table.mixed(torch.full((1, CONTEXTS), 1 / CONTEXTS, dtype=torch.float64))
    pooled = table_of(
        ExitTrace(name="t", confidences=trace.confidences, correct=trace.correct), KNOTS
    )
    assert torch.allclose(mixed.right, pooled.right)
    assert torch.allclose(mixed.wrong, pooled.wrong)


def test_equal_confidences_are_no_trouble() -> None:
    sure = np.ones((20, 2))
    sure[:5] = 0.5
    table = table_of(ExitTrace(name="t", confidences=sure, correct=np.ones((20, 2))), 5)
    single = type(table)(*(values.float() for values in table))
    assert (table.knots.diff(dim=1) > 0).all()
    tau = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    right, wrong = lookup(single, tau, torch.zeros(2, dtype=torch.long))
    assert torch.allclose(right, torch.tensor([[1.0, 1.0], [0.75, 0.75]]))
    assert (wrong == 0).all()
