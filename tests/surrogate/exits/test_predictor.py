"""Released exit predictors: whole or refused, in arrays, with clear errors."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from datagen.errors import InvalidInputError
from datagen.exits.counts import count_exits
from surrogate import load_exit_predictor, load_surrogate
from surrogate.errors import CheckpointError
from surrogate.exits.draws import random_thresholds
from surrogate.exits.judging import independent_mix, judge, noise_floor
from surrogate.exits.predictor import (
    BATCH,
    FewShotPredictor,
    TracePredictor,
    save_exit_predictor,
)
from surrogate.exits.release import judge_few_shot
from surrogate.folders import shipped_folder
from tests.surrogate.exits.cases import (
    CONTEXTS,
    EXITS,
    few_shot_net,
    made_up_trace,
    trace_net,
)


@pytest.fixture
def known(tmp_path: Path) -> TracePredictor:
    network = trace_net(torch.float32)
    save_exit_predictor(tmp_path / "known", network, metrics={"a": 1}, card="# known\n")
    found = load_exit_predictor(tmp_path / "known")
    assert isinstance(found, TracePredictor)
    return found


@pytest.fixture
def adapting(tmp_path: Path) -> FewShotPredictor:
    network = few_shot_net(torch.float32)
    save_exit_predictor(tmp_path / "adapting", network, metrics={}, card="")
    found = load_exit_predictor(tmp_path / "adapting")
    assert isinstance(found, FewShotPredictor)
    return found


def vectors(count: int) -> np.ndarray:
    return random_thresholds(made_up_trace().confidences, count, np.random.default_rng(2))


def test_comes_back_as_it_was(known: TracePredictor, adapting: FewShotPredictor) -> None:
    assert (known.name, known.exits, known.contexts) == ("known", EXITS, CONTEXTS)
    assert known.metrics == {"a": 1}
    for found, made in ((known, trace_net), (adapting, few_shot_net)):
        expected = made(torch.float32).state_dict()
        state = found.network.state_dict()
        assert state.keys() == expected.keys()
        assert all(torch.equal(state[name], expected[name]) for name in expected)
        assert not found.network.training
        assert not any(w.requires_grad for w in found.network.parameters())


def test_predicts_for_arrays_of_any_length(known: TracePredictor) -> None:
    tau = vectors(2 * BATCH + 5)
    context = np.arange(len(tau)) % CONTEXTS
    found = known.predict(tau, context)
    assert found.mix.shape == found.accuracy.shape == found.confidence.shape == (len(tau), EXITS)
    assert found.mix.sum(axis=1) == pytest.approx(np.ones(len(tau)), abs=1e-6)
    assert found.overall_accuracy == pytest.approx((found.mix * found.accuracy).sum(axis=1))
    rows = [3, BATCH, 2 * BATCH + 1]
    for b in rows:
        one = known.predict(tau[[b]], int(context[b]))
        assert one.mix[0] == pytest.approx(found.mix[b], abs=1e-6)
    assert known.predict(tau[:0]).mix.shape == (0, EXITS)


def test_contexts_and_mixtures_of_them(known: TracePredictor) -> None:
    tau = vectors(20)
    pure = known.predict_mixture(tau, [0, 1, 0])
    assert pure.mix == pytest.approx(known.predict(tau, 1).mix, abs=1e-5)
    even = known.predict_mixture(tau, [1 / 3] * 3)
    assert np.array_equal(known.predict(tau).mix, even.mix)
    assert np.abs(even.mix - pure.mix).max() > 1e-3


def test_adapts_to_samples(adapting: FewShotPredictor) -> None:
    tau, trace = vectors(BATCH + 3), made_up_trace(40)
    found = adapting.adapted(trace).predict(tau)
    assert found.mix.shape == (len(tau), EXITS)
    other = adapting.adapted(made_up_trace(40, seed=6)).predict(tau)
    assert np.abs(found.mix - other.mix).max() > 1e-3
    one = adapting.adapted(trace, context=2).predict(tau)
    assert np.abs(found.mix - one.mix).max() > 1e-3


def test_the_modules_lead_gradients_to_thresholds(
    known: TracePredictor, adapting: FewShotPredictor
) -> None:
    adapted = adapting.adapted(made_up_trace(40)).network
    for module in (known.network, adapted):
        tau = torch.full((2, EXITS), 0.6, requires_grad=True)
        found = module(tau)
        assert found.mix.shape == found.accuracy.shape == (2, EXITS)
        (gradient,) = torch.autograd.grad(found.mix[:, 0].sum(), tau)
        assert (gradient[:, 0] < 0).all()
        assert (gradient[:, 1:] == 0).all()
        (gradient,) = torch.autograd.grad(module(tau).overall_accuracy.sum(), tau)
        assert (gradient[:, :-1] != 0).all()


def test_adapting_needs_samples(adapting: FewShotPredictor) -> None:
    with pytest.raises(InvalidInputError, match="trace must have at least two samples, got"):
        adapting.adapted(made_up_trace(1, contexts=1))
    with pytest.raises(InvalidInputError, match=r"context must lie in \[0, 3\)"):
        adapting.adapted(made_up_trace(9), context=3)


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ([[0.5, 0.5]], r"thresholds must have shape \[B, 3\]"),
        ([[0.5, 0.5, -1.0]], r"thresholds\[0\]\[2\] must be finite and >= 0"),
        ([[0.5, 0.5, 0.5, 0.5]], r"thresholds\[0\]\[3\] must be 0 at the final classifier"),
    ],
)
def test_refuses_thresholds(
    known: TracePredictor, adapting: FewShotPredictor, thresholds: object, message: str
) -> None:
    with pytest.raises(InvalidInputError, match=message):
        known.predict(thresholds)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=message):
        known.predict(thresholds, 0)  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match=message):
        adapting.adapted(made_up_trace(9)).predict(thresholds)  # type: ignore[arg-type]


@pytest.mark.parametrize("context", [3, -1, 0.5, [0, 1, 2], [[0]]])
def test_refuses_contexts(known: TracePredictor, context: object) -> None:
    with pytest.raises(InvalidInputError, match=r"context must be one whole number in \[0, 3\)"):
        known.predict(vectors(2), context)  # type: ignore[arg-type]


@pytest.mark.parametrize("shares", [[0.5, 0.5], [0.5, 0.6, 0.0], [1.5, -0.5, 0.0]])
def test_refuses_mixtures(known: TracePredictor, shares: list[float]) -> None:
    with pytest.raises(InvalidInputError, match="shares must be 3 shares >= 0 that sum to 1"):
        known.predict_mixture(vectors(2), shares)


def test_weights_are_those_described(known: TracePredictor, tmp_path: Path) -> None:
    weights = tmp_path / "known" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match="sha256"):
        load_exit_predictor(tmp_path / "known")


def test_kinds_are_not_mixed_up(known: TracePredictor, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="must be"):
        load_surrogate(str(tmp_path / "known"))
    with pytest.raises(CheckpointError, match="must be"):
        load_exit_predictor("chainnet")
    with pytest.raises(CheckpointError, match="network must be one of .*got Identity"):
        save_exit_predictor(tmp_path / "no", nn.Identity(), metrics={}, card="")  # type: ignore[arg-type]
    assert not (tmp_path / "no").exists()


def test_settings_have_to_fit_the_weights(known: TracePredictor, tmp_path: Path) -> None:
    config = tmp_path / "known" / "config.json"
    config.write_text(config.read_text().replace('"exits": 4', '"exits": 5'))
    with pytest.raises(CheckpointError, match="must match this version's exit-trace"):
        load_exit_predictor(tmp_path / "known")


def test_the_truth_is_judged_to_be_as_good_as_its_noise() -> None:
    calibration, test = made_up_trace(900), made_up_trace(900, seed=11)
    judged = judge(
        lambda tau, context: count_exits(calibration, tau, context),
        calibration,
        test,
        vectors=200,
        seed=1,
        unseen=[2],
    )
    assert judged["exit_mix_mae"] == pytest.approx(judged["exit_mix_mae_empirical_table"])
    assert 0.6 < judged["exit_mix_mae"] / judged["exit_mix_noise_floor"] < 1.6
    assert 0.5 < judged["accuracy_mae"] / judged["accuracy_noise_floor"] < 2
    assert judged["exit_mix_mae_independence"] > 1.3 * judged["exit_mix_noise_floor"]
    assert [row["trained_on"] for row in judged["by_context"]] == [True, True, False]
    perfect = judge(
        lambda tau, context: count_exits(test, tau, context), calibration, test, vectors=20, seed=1
    )
    assert perfect["exit_mix_mae"] == perfect["accuracy_mae"] == 0


def test_the_noise_falls_with_the_samples() -> None:
    tau = vectors(100)
    few = noise_floor(made_up_trace(90), made_up_trace(90, seed=1), tau, 0)
    many = noise_floor(made_up_trace(3600), made_up_trace(3600, seed=1), tau, 0)
    for small, large in zip(many, few, strict=True):
        assert small["mix"] == pytest.approx(large["mix"] / np.sqrt(40), rel=0.3)


def test_independence_multiplies() -> None:
    trace, tau = made_up_trace(), np.array([[0.5, 0.6, 0.7]])
    reached = [(trace.confidences[:, e] >= tau[0, e]).mean() for e in range(3)]
    stay = np.cumprod([1 - h for h in reached])
    expected = [reached[0], reached[1] * stay[0], reached[2] * stay[1], stay[2]]
    assert independent_mix(trace, tau)[0] == pytest.approx(expected)


def test_adapting_is_judged_beside_the_table(adapting: FewShotPredictor) -> None:
    rows = judge_few_shot(adapting, [(made_up_trace(1500), made_up_trace(3000, seed=1))], seed=0)
    tables = [row["exit_mix_mae_empirical_table"] for row in rows]
    assert tables == sorted(tables, reverse=True)
    assert all(row["networks"] == CONTEXTS for row in rows)
    assert all(0 < row["exit_mix_mae"] < 1 for row in rows)


SHIPPED = {
    "eenn-digits": "one of one network",
    "eenn-general": "one that adapts",
}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_ones_are_whole(name: str) -> None:
    predictor = load_exit_predictor(name)
    folder = shipped_folder(name)
    assert predictor.name == name
    assert (folder / "README.md").read_text().startswith(f"# {name}\n")


def test_the_shipped_digits_predictor_keeps_its_promise() -> None:
    held_out = load_exit_predictor("eenn-digits").metrics["held_out"]
    trace = shipped_folder("eenn-network") / held_out["trace"]
    assert hashlib.sha256(trace.read_bytes()).hexdigest() == held_out["sha256"]
    assert held_out["exit_mix_mae"] <= 1.1 * held_out["exit_mix_noise_floor"]
    assert held_out["exit_mix_mae"] <= 0.4 * held_out["exit_mix_mae_independence"]
    assert held_out["accuracy_mae"] <= 1.2 * held_out["accuracy_noise_floor"]


def test_the_shipped_general_predictor_beats_small_tables() -> None:
    for row in load_exit_predictor("eenn-general").metrics["unseen_networks"]:
        if row["samples"] <= 100:
            assert row["exit_mix_mae"] < row["exit_mix_mae_empirical_table"]
