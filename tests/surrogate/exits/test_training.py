"""Training data are what counting says, losses are smallest at the truth, and runs release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from datagen.errors import InvalidInputError
from datagen.exits.counts import count_exits, samples_in
from surrogate import load_exit_predictor
from surrogate.__main__ import main
from surrogate.exits.draws import CLOSED, random_thresholds
from surrogate.exits.examples import Outcomes
from surrogate.exits.families import NetworkFamily
from surrogate.exits.family_data import MOST_SAMPLES, FamilyData
from surrogate.exits.losses import ExitLoss
from surrogate.exits.prediction import ExitPrediction
from surrogate.exits.predictor import FewShotPredictor, TracePredictor
from surrogate.exits.trace_data import TraceData
from surrogate.exits.trace_network import TraceNet
from tests.surrogate.exits.cases import CONTEXTS, EXITS, KNOTS, made_up_trace


@pytest.fixture
def trace_file(tmp_path: Path) -> str:
    made_up_trace().save(tmp_path / "known.npz")
    return str(tmp_path / "known.npz")


def prepared(file: str, **others: Any) -> TraceData:
    data = TraceData(file, vectors=200, validation_vectors=20, batch_size=50, **others)
    data.prepare(TraceNet(EXITS, CONTEXTS, knots=KNOTS))
    return data


def test_thresholds_are_of_all_kinds() -> None:
    trace = made_up_trace()
    tau = random_thresholds(trace.confidences, 3000, np.random.default_rng(0))
    assert tau.shape == (3000, EXITS - 1)
    closed = tau == CLOSED
    assert 0.2 < closed.mean() < 0.35
    assert ((tau >= 0) & (tau <= 1) | closed).all()
    mix = count_exits(trace, tau).mix
    assert (mix.std(axis=0) > 0.15).all()


def test_truth_is_that_of_the_mixture(trace_file: str) -> None:
    torch.manual_seed(0)
    (example,) = list(prepared(trace_file).train_dataloader())[:1]
    thresholds, row, table = example.inputs
    trace = made_up_trace()
    tau = thresholds.double().numpy()
    parts = [count_exits(trace, tau, k) for k in range(CONTEXTS)]
    # At the knot 0, tables say the share of right answers, which tells the shares of contexts.
    rates = np.stack([samples_in(trace, k).correct.mean(axis=0) for k in range(CONTEXTS)])
    mixed = (table.right + table.wrong)[row][:, :, 0]
    assert torch.allclose(mixed, torch.ones_like(mixed))
    shares = np.linalg.lstsq(rates.T, table.right[row][:, :, 0].double().numpy().T, rcond=None)[0]
    assert shares.sum(axis=0) == pytest.approx(np.ones(len(tau)), abs=1e-3)
    for name in ("mix", "right", "confidence"):
        source = {"mix": "leaving"}.get(name, name)
        counted = np.stack([getattr(p, source) / p.leaving.sum(1, keepdims=True) for p in parts])
        expected = np.einsum("cb,cbe->be", shares, counted)
        off = np.abs(getattr(example.truth, name).numpy() - expected)
        # A threshold that was rounded to float32 may fall on the other side of a sample or two.
        assert off.mean() < 2e-4
        assert off.max() < 1.1e-2


def test_unseen_contexts_are_left_out(trace_file: str) -> None:
    data = prepared(trace_file, unseen_contexts=[1])
    seen = [samples_in(made_up_trace(), k).correct[:, 0].mean() for k in (0, 2)]
    for example in data.train_dataloader():
        right = example.inputs[2].right[:, 0, 0]
        assert right.min() >= min(seen) - 1e-6
        assert right.max() <= max(seen) + 1e-6
    # With the middle context left out, only mixtures lie between.
    pure = samples_in(made_up_trace(), 1).correct.mean(axis=0)
    rows = torch.cat([e.inputs[2].right[:, :, 0] for e in data.train_dataloader()])
    assert (rows - torch.tensor(pure).float()).abs().amax(1).min() > 1e-3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vectors": 0}, "vectors must be >= 1"),
        ({"unseen_contexts": [3]}, r"unseen_contexts must lie in \[0, 3\)"),
        ({"unseen_contexts": [0, 1, 2]}, "unseen_contexts must .* leave some"),
    ],
)
def test_names_what_is_wrong(trace_file: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInputError, match=message):
        TraceData(trace_file, **settings).prepare(TraceNet(EXITS, CONTEXTS, knots=KNOTS))


@pytest.mark.parametrize(("exits", "contexts", "name"), [(3, 3, "exits"), (4, 2, "contexts")])
def test_a_network_has_to_fit_its_trace(
    trace_file: str, exits: int, contexts: int, name: str
) -> None:
    with pytest.raises(InvalidInputError, match=f"{name} must be . as in .*known.npz"):
        TraceData(trace_file).prepare(TraceNet(exits, contexts, knots=KNOTS))


def test_made_up_networks_differ_and_come_back() -> None:
    family = NetworkFamily()
    one, again = (family.draw(300, 5, np.random.default_rng(4)) for _ in range(2))
    assert one == again
    rates = [family.draw(300, 5, np.random.default_rng(s)).correct.mean() for s in range(30)]
    assert np.std(rates) > 0.1
    traces = [family.draw(2000, 6, np.random.default_rng(s)) for s in range(30)]
    near = [np.corrcoef(t.confidences[:, 2], t.confidences[:, 3])[0, 1] for t in traces]
    assert min(near) < 0.4
    assert max(near) > 0.9


def test_few_samples_and_the_truth_are_of_one_network() -> None:
    data = FamilyData(
        NetworkFamily(exits=(3, 4)),
        networks=4,
        validation_networks=2,
        batch_networks=2,
        batches=3,
    )
    data.prepare(torch.nn.Identity())
    batches = list(data.train_dataloader())
    assert len(batches) == 3
    for example in batches:
        tau, samples = example.inputs
        networks, count, exits = samples.confidences.shape
        assert networks == 2
        assert 16 <= count <= MOST_SAMPLES
        assert tau.shape[-1] == exits - 1
        assert torch.allclose(example.truth.mix.sum(-1), torch.ones(()), atol=1e-5)
        # Who does not reach the first threshold in the samples does not in truth, about.
        told = (samples.confidences[:, None, :, 0] >= tau[:, :, None, 0]).float().mean(-1)
        assert (told - example.truth.mix[..., 0]).abs().mean() < 0.15
    one, two = (list(data.val_dataloader()) for _ in range(2))
    assert all(torch.equal(a.truth.mix, b.truth.mix) for a, b in zip(one, two, strict=True))


def outcomes(seed: int) -> Outcomes:
    rng = torch.Generator().manual_seed(seed)
    mix = torch.rand(9, 4, generator=rng).softmax(-1)
    accuracy, confidence = torch.rand(2, 9, 4, generator=rng)
    return Outcomes(mix, mix * accuracy, mix * confidence)


@pytest.mark.parametrize("part", ["mix", "right", "confidence", "divergence"])
def test_losses_are_smallest_at_the_truth(part: str) -> None:
    truth, other = outcomes(1), outcomes(2)

    def found(of: Outcomes) -> float:
        prediction = ExitPrediction(
            leaving=of.mix,
            mix=of.mix,
            accuracy=of.right / of.mix,
            confidence=of.confidence / of.mix,
        )
        return float(ExitLoss()(prediction, truth)[part])

    assert found(truth) == pytest.approx(0, abs=1e-6)
    assert found(other) > 0.05


def shipped(repository: Path, name: str, root: Path) -> dict[str, Any]:
    """A shipped configuration, with its runs elsewhere and short."""
    document: dict[str, Any] = yaml.safe_load((repository / f"configs/train/{name}").read_text())
    document["trainer"] |= {
        "default_root_dir": str(root),
        "check_val_every_n_epoch": 1,
        "enable_progress_bar": False,
        "log_every_n_steps": 1,
    }
    return document


def fit(document: dict[str, Any], folder: Path) -> int:
    file = folder / "fit.yaml"
    file.write_text(yaml.safe_dump(document))
    return main(["fit", "--config", str(file)])


def test_a_run_on_a_trace_releases_a_predictor(
    repository: Path, trace_file: str, tmp_path: Path
) -> None:
    document = shipped(repository, "eenn_digits.yaml", tmp_path / "run")
    document["trainer"]["max_epochs"] = 12
    network = {"exits": EXITS, "contexts": CONTEXTS, "knots": 24, "width": 16}
    document["model"]["init_args"]["network"]["init_args"] = network
    document["model"]["init_args"]["learning_rate"] = 1e-2
    made_up_trace(2400, seed=8).save(tmp_path / "held_out.npz")
    document["data"]["init_args"] = {
        "trace": trace_file,
        "test": str(tmp_path / "held_out.npz"),
        "vectors": 2048,
        "validation_vectors": 100,
        "batch_size": 128,
        "unseen_contexts": [1],
    }
    assert fit(document, tmp_path) == 0
    predictor = load_exit_predictor(tmp_path / "run" / "release")
    assert isinstance(predictor, TracePredictor)
    held_out = predictor.metrics["held_out"]
    assert held_out["exit_mix_mae"] < 0.6 * held_out["exit_mix_mae_independence"]
    assert held_out["exit_mix_mae"] < 1.5 * held_out["exit_mix_noise_floor"]
    assert [row["trained_on"] for row in held_out["by_context"]] == [True, False, True]
    card = (tmp_path / "run" / "release" / "README.md").read_text()
    assert f"| 1 (not trained in) | {held_out['by_context'][1]['exit_mix_mae']:.4f} |" in card


def test_a_run_on_made_up_networks_releases_one_that_adapts(
    repository: Path, tmp_path: Path
) -> None:
    document = shipped(repository, "eenn_general.yaml", tmp_path / "run")
    document["trainer"]["max_epochs"] = 1
    document["model"]["init_args"]["network"]["init_args"] = {"width": 8, "layers": 1, "heads": 2}
    document["data"]["init_args"] |= {
        "family": {"exits": [3, 4]},
        "networks": 4,
        "validation_networks": 2,
        "batch_networks": 2,
        "batches": 2,
    }
    assert fit(document, tmp_path) == 0
    predictor = load_exit_predictor(tmp_path / "run" / "release")
    assert isinstance(predictor, FewShotPredictor)
    rows = predictor.metrics["unseen_networks"]
    assert [row["samples"] for row in rows] == [25, 50, 100, 400]
    assert all(row["exit_mix_mae"] < 0.1 for row in rows)
