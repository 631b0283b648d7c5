"""A causal transformer that adapts to a new early-exit network from a few recorded samples.

It corrects what the samples say on their own, see :mod:`surrogate.exits.evidence`: the logit of the
share that leaves is a sum, with positive weights, of the logits of smoothed tables, each of which
falls as the threshold rises; the weights and a shift come from a state that knows earlier
thresholds only. Before training, it is nearly the table of the narrowest width.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datagen.exits import ExitTrace
from surrogate.exits.evidence import PAST, STATIC, WIDTHS, Evidence, Samples, evidence_of
from surrogate.exits.prediction import ExitPrediction, exit_mix, thresholded
from surrogate.exits.trunk import CausalTrunk

__all__ = ["AdaptedNet", "FewShotNet"]

_TABLES = len(WIDTHS) + 1

FIRST_WEIGHTS = (0.8, 0.15, 0.03, 0.02)
"""Weights of the tables before training: that of the narrowest width is the best on its own."""

LOGIT_SCALE = 4.0
"""Logits are divided by this where they are inputs."""

LEAST_DOUBT = 1e-4
"""Confidences are not told from 1 below this."""

PULL = 0.05
"""Scale of the first corrections: small, for the tables are good on their own."""


class FewShotNet(nn.Module):
    """Predicts exit mix, accuracy and confidence of networks it was not trained on.

    Args:
        width: Features per token.
        layers: Blocks of the transformer.
        heads: Attention heads.
    """

    def __init__(self, width: int = 64, layers: int = 3, heads: int = 4) -> None:
        super().__init__()
        self.settings = {"width": width, "layers": layers, "heads": heads}
        self.described = nn.Linear(STATIC, width)
        self.remembered = nn.Linear(PAST, width)
        self.trunk = CausalTrunk(width, layers, heads)
        self.weights_of = nn.Linear(width, _TABLES + 1)
        self.seen = nn.Linear(width + 2 * len(WIDTHS) + _TABLES, width)
        self.answers_of = nn.Linear(width, 2)
        with torch.no_grad():
            for layer in (self.weights_of, self.answers_of):
                layer.weight.mul_(PULL)
                layer.bias.zero_()
            # The inverse of softplus.
            first = torch.expm1(torch.tensor(FIRST_WEIGHTS)).log()
            self.weights_of.bias[:_TABLES] = first

    def forward(self, thresholds: Tensor, samples: Samples) -> ExitPrediction:
        """Predict; differentiable in the thresholds.

        Args:
            thresholds: Thresholds of V vectors for each of G networks [G, V, E - 1] or, the final
                one not looked at, [G, V, E]; >= 0, above 1 closes the exit.
            samples: Recorded samples of these networks.

        Returns:
            The prediction, of shape [G, V, E].
        """
        exits = samples.confidences.shape[-1]
        tau = thresholds[..., : exits - 1]
        evidence = evidence_of(tau, samples)
        tokens = self.described(evidence.static)[:, None] + self.remembered(evidence.past)
        states = self.trunk(tokens.flatten(0, 1)).unflatten(0, tau.shape[:2])
        weights, shift = self.weights_of(states[:, :, :-1]).split([_TABLES, 1], dim=-1)
        weights = F.softplus(weights)
        logit = (weights * evidence.leaving).sum(-1) + shift[..., 0]
        exact = thresholded(torch.sigmoid(logit), tau)
        accuracy, confidence = self._answers(states, evidence, tau)
        return ExitPrediction(
            leaving=exact, mix=exit_mix(exact), accuracy=accuracy, confidence=confidence
        )

    def _answers(self, states: Tensor, evidence: Evidence, tau: Tensor) -> tuple[Tensor, Tensor]:
        """Return accuracy and confidence of those who leave [G, V, E]."""
        own = F.pad(evidence.leaving, (0, 0, 0, 1))
        sure = torch.logit(evidence.confidence, eps=LEAST_DOUBT)
        seen = torch.cat([own, evidence.accuracy, sure], dim=-1) / LOGIT_SCALE
        rise = self.answers_of(F.silu(self.seen(torch.cat([states, seen], dim=-1))))
        accuracy = torch.sigmoid(evidence.accuracy.mean(-1) + rise[..., 0])
        least = F.pad(tau.clamp_max(1.0), (0, 1))
        above = (evidence.confidence.mean(-1) - least) / (1.0 - least).clamp_min(LEAST_DOUBT)
        part = torch.sigmoid(torch.logit(above, eps=LEAST_DOUBT) + rise[..., 1])
        return accuracy, least + (1.0 - least) * part


class AdaptedNet(nn.Module):
    """A :class:`FewShotNet` with the samples of one network: a module from thresholds only.

    Args:
        network: The trained network.
        trace: Samples of the network it is to adapt to.
    """

    def __init__(self, network: FewShotNet, trace: ExitTrace) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("confidences", torch.tensor(trace.confidences[None]).float())
        self.register_buffer("correct", torch.tensor(trace.correct[None]).float())

    def forward(self, thresholds: Tensor) -> ExitPrediction:
        """Predict; differentiable in the thresholds.

        Args:
            thresholds: Thresholds [B, E - 1] or, the final one not looked at, [B, E].

        Returns:
            The prediction for B vectors.
        """
        samples = Samples(self.confidences, self.correct)  # type: ignore[arg-type]
        found = self.network(thresholds[None], samples)
        return ExitPrediction(**{name: values[0] for name, values in vars(found).items()})
