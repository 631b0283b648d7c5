"""A causal transformer that learns one early-exit network, in all its contexts, from a trace.

One token per exit carries the threshold of the exit before it, so that the state at an exit knows
the earlier thresholds but not its own. From the state come the parameters of functions of the own
threshold that can only fall:

    share leaving at e = r G(v) + (1 - r) G'(v'),     G(v) = sum_k w_k sigmoid(a_k logit v + b_k)

where r is the share of right answers among those who get there, v and v' are the shares of all
right and wrong answers whose confidence reaches the threshold, w_k sum to 1 and a_k > 0. Without
earlier exits r, v and v' are those of the table; the network learns what earlier exits change.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datagen.errors import require
from surrogate.exits.constants import LEAST_SHARE, LOGIT_SCALE, NOBODY, PARTS, UNIT_SLOPE
from surrogate.exits.prediction import ExitPrediction, exit_mix, thresholded
from surrogate.exits.tables import ConfidenceTable, lookup
from surrogate.exits.trunk import CausalTrunk

__all__ = ["TraceNet"]

_OUTPUTS = 2 * 3 * PARTS + 4
_FEATURES = 6


class TraceNet(nn.Module):
    """Predicts exit mix, accuracy and confidence of one network from its thresholds.

    Args:
        exits: Number of exits E, the final classifier included, >= 2.
        contexts: Number of contexts C, >= 1.
        knots: Knots per exit of its confidence table M, >= 4.
        width: Features per token.
        layers: Blocks of the transformer.
        heads: Attention heads.
    """

    def __init__(
        self,
        exits: int,
        contexts: int = 1,
        knots: int = 48,
        width: int = 32,
        layers: int = 1,
        heads: int = 2,
    ) -> None:
        super().__init__()
        require(exits >= 2, "exits", "be >= 2", exits)
        require(contexts >= 1, "contexts", "be >= 1", contexts)
        require(knots >= 4, "knots", "be >= 4", knots)
        self.settings = {
            "exits": exits,
            "contexts": contexts,
            "knots": knots,
            "width": width,
            "layers": layers,
            "heads": heads,
        }
        self.exits, self.contexts = exits, contexts
        falling = torch.linspace(1.0, 0.0, knots).expand(contexts, exits, knots)
        self.register_buffer("knots", torch.linspace(0.0, 1.0, knots).repeat(exits, 1))
        self.register_buffer("right", 0.5 * falling)
        self.register_buffer("wrong", 0.5 * falling)
        self.place = nn.Parameter(0.1 * torch.randn(exits, width))
        self.described = nn.Linear(2 * knots, width)
        self.embedded = nn.Linear(_FEATURES, width)
        self.trunk = CausalTrunk(width, layers, heads)
        self.parameters_of = nn.Linear(width, _OUTPUTS)
        nn.init.zeros_(self.parameters_of.weight)
        nn.init.zeros_(self.parameters_of.bias)

    @property
    def table(self) -> ConfidenceTable:
        """The confidence table, one row per context."""
        return ConfidenceTable(self.knots, self.right, self.wrong)  # type: ignore[arg-type]

    def set_table(self, table: ConfidenceTable) -> None:
        """Take over the table of a trace.

        Args:
            table: One of C contexts, E exits and M knots.

        Raises:
            InvalidInputError: If an array has another shape than the network's own.
        """
        for name, values in table._asdict().items():
            own = getattr(self, name)
            require(values.shape == own.shape, name, f"have shape {tuple(own.shape)}", values.shape)
            own.copy_(values)

    def forward(
        self,
        thresholds: Tensor,
        row: Tensor | None = None,
        table: ConfidenceTable | None = None,
    ) -> ExitPrediction:
        """Predict; differentiable in the thresholds.

        Args:
            thresholds: Thresholds [B, E - 1] or, the final one not looked at, [B, E]; >= 0, above 1
                closes the exit.
            row: Context of each vector, a row of the table [B]; the first by default.
            table: Table of other contexts, for example mixtures; the network's own by default.

        Returns:
            The prediction.
        """
        table = self.table if table is None else table
        tau = thresholds[:, : self.exits - 1]
        row = torch.zeros(len(tau), dtype=torch.long, device=tau.device) if row is None else row
        reached = lookup(table, tau, row)
        whole = [shares[:, :, 0] for shares in (table.right, table.wrong)]  # [C, E]
        logits = [
            _logit(shares / total[row][:, :-1].clamp_min(LEAST_SHARE))
            for shares, total in zip(reached, whole, strict=True)
        ]
        states = self.trunk(self._tokens(logits, reached, table, row))
        slope, shift, weight, rest = self._read_out(states)
        right_rate = torch.sigmoid(self.rates_of(table)[row] + rest[..., 0])
        own = torch.stack(logits, dim=-1)[..., None]  # [B, E - 1, 2, 1]
        passed = (weight[:, :-1] * torch.sigmoid(slope[:, :-1] * own + shift[:, :-1])).sum(-1)
        right = right_rate[:, :-1] * passed[..., 0]
        # Rounding may lead beyond 1.
        leaving = (right + (1.0 - right_rate[:, :-1]) * passed[..., 1]).clamp_max(1.0)
        # Where nobody leaves, as many are right as of those who get there.
        answered = (right + NOBODY * right_rate[:, :-1]) / (leaving + NOBODY)
        accuracy = torch.cat([answered.clamp_max(1.0), right_rate[:, -1:]], dim=-1)
        exact = thresholded(leaving, tau)
        return ExitPrediction(
            leaving=exact,
            mix=exit_mix(exact),
            accuracy=accuracy,
            confidence=_confidence(tau, logits[0], rest[..., 1:]),
        )

    def _tokens(
        self,
        logits: list[Tensor],
        reached: tuple[Tensor, Tensor],
        table: ConfidenceTable,
        row: Tensor,
    ) -> Tensor:
        """Return one token per exit [B, E, width]: its place, context, and the threshold before."""
        scaled = [values / LOGIT_SCALE for values in logits]
        features = torch.stack([*scaled, *(x**2 for x in scaled), *reached], dim=-1)
        return self.tokens_of(table)[row] + F.pad(self.embedded(features), (0, 0, 1, 0))

    def tokens_of(self, table: ConfidenceTable) -> Tensor:
        """Return what each token says of its exit, whatever the thresholds.

        Args:
            table: Table of C contexts.

        Returns:
            Place and table of the exit [C, E, width].
        """
        tokens: Tensor = self.place + self.described(torch.cat([table.right, table.wrong], dim=-1))
        return tokens

    @staticmethod
    def rates_of(table: ConfidenceTable) -> Tensor:
        """Return the logit of the share of right answers at each exit if nobody left before.

        Args:
            table: Table of C contexts.

        Returns:
            Logits [C, E].
        """
        return _logit(table.right[:, :, 0])

    def start(self) -> Tensor:
        """Return what the read-out is added to [outputs]."""
        like = self.parameters_of.bias
        # Terms that start alike would stay alike.
        spread = torch.linspace(-1.0, 1.0, PARTS, device=like.device, dtype=like.dtype)
        alike = spread.new_zeros(2, PARTS)
        parts = (alike + UNIT_SLOPE, alike + spread, alike, spread.new_zeros(4))
        return torch.cat([values.flatten() for values in parts])

    def _read_out(self, states: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return slopes, shifts and weights [B, E, 2, PARTS] and the rest [B, E, 4]."""
        outputs = self.parameters_of(states) + self.start()
        functions, rest = outputs.split([_OUTPUTS - 4, 4], dim=-1)
        slope, shift, weight = functions.unflatten(-1, (3, 2, PARTS)).unbind(-3)
        return F.softplus(slope), shift, weight.softmax(-1), rest


def _logit(shares: Tensor) -> Tensor:
    return torch.logit(shares, eps=LEAST_SHARE)


def _confidence(tau: Tensor, logits: Tensor, rest: Tensor) -> Tensor:
    """Return the mean confidence [B, E], between the threshold and 1."""
    least = F.pad(tau.clamp_max(1.0), (0, 1))
    scaled = F.pad(logits, (0, 1)) / LOGIT_SCALE
    raised = rest[..., 0] + rest[..., 1] * scaled + rest[..., 2] * scaled**2
    return least + (1.0 - least) * torch.sigmoid(raised)
