"""Evidence is the empirical table made smooth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from datagen.exits.counts import count_exits
from surrogate.exits import evidence
from surrogate.exits.draws import random_thresholds
from surrogate.exits.evidence import PAST, STATIC, WIDTHS, Samples, evidence_of
from surrogate.exits.prediction import exit_mix, thresholded
from tests.surrogate.exits.cases import EXITS, made_up_trace


def all_of(count: int) -> tuple[Samples, torch.Tensor]:
    trace = made_up_trace(count)
    tau = random_thresholds(trace.confidences, 50, np.random.default_rng(1))
    samples = (
        torch.tensor(values[None], dtype=torch.float64)
        for values in (trace.confidences, trace.correct)
    )
    return Samples(*samples), torch.from_numpy(tau)


def test_has_the_sizes_it_names() -> None:
    samples, tau = all_of(30)
    found = evidence_of(tau[None], samples)
    assert found.static.shape == (1, EXITS, STATIC)
    assert found.past.shape == (1, 50, EXITS, PAST)
    assert found.leaving.shape == (1, 50, EXITS - 1, len(WIDTHS) + 1)
    assert found.accuracy.shape == found.confidence.shape == (1, 50, EXITS, len(WIDTHS))


def test_a_narrow_width_gives_the_empirical_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "WIDTHS", (1e-9, 0.5, 1.2))
    monkeypatch.setattr(evidence, "PRIOR", 1e-9)
    samples, _ = all_of(300)
    # No threshold is the confidence of a sample: that one would leave by half.
    tau = torch.rand(50, EXITS - 1, generator=torch.Generator().manual_seed(1)).double()
    found = evidence_of(tau[None], samples)
    counted = count_exits(made_up_trace(300), tau.numpy())
    mix = exit_mix(thresholded(torch.sigmoid(found.leaving[0, ..., 0]), tau))
    # Logits are bounded, so that shares near 0 and 1 are not exact.
    assert np.allclose(mix, counted.mix, atol=1e-3)
    somebody = counted.leaving > 0
    accuracy = torch.sigmoid(found.accuracy[0, ..., 0]).numpy()
    assert np.allclose(accuracy[somebody], counted.accuracy[somebody], atol=1e-3)
    confidence = found.confidence[0, ..., 0].numpy()
    assert np.allclose(confidence[somebody], counted.mean_confidence[somebody], atol=1e-6)


def test_depends_on_ranks_of_confidences_only() -> None:
    samples, tau = all_of(40)
    # An increasing map keeps ranks; thresholds at samples keep their places.
    chosen = samples.confidences[0, :20, : EXITS - 1]
    stretched = Samples(samples.confidences**3, samples.correct)
    one = evidence_of(chosen[None], samples).leaving
    two = evidence_of((chosen**3)[None], stretched).leaving
    assert torch.allclose(one, two, atol=1e-9)


def test_more_samples_say_the_same_less_noisily() -> None:
    truth = count_exits(made_up_trace(30_000, seed=9), all_of(30)[1].numpy()).mix
    errors = []
    for count in (30, 3000):
        samples, _ = all_of(count)
        tau = all_of(30)[1]
        logits = evidence_of(tau[None], samples).leaving[0, ..., 0]
        mix = exit_mix(thresholded(torch.sigmoid(logits), tau)).numpy()
        errors.append(np.abs(mix - truth).mean())
    assert errors[1] < 0.5 * errors[0]
