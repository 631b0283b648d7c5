"""Our online policies: thresholds by backlog, and by backlog, rate, difficulty and losses.

Both read the same tables (:mod:`surrogate.policies.price_tables`). The queue-aware one knows the
long-run arrival rate and trusts it; the drift-aware one measures the rate and the difficulty, looks
both up, and moves the price of a loss until the losses it sees are those wanted, whatever the
tables did not know: bursts, jobs that are not alike, other chains.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datagen.errors import require
from datagen.policies.exit_policy import Decision, ExitPolicy, Outcome, Scene, Seen
from surrogate.policies.drift import ContextFilter, LossPrice, SteppingRate
from surrogate.policies.price_tables import PostTable, PriceTables
from surrogate.policies.static import SAFETY

__all__ = ["DriftAware", "QueueAware"]


class _Tabled(ExitPolicy):
    """What both share.

    Args:
        tables: Tables of the chain.
        loss_target: Largest loss ratio of the system, in (0, 1).

    Raises:
        InvalidInputError: If the target is out of range; from :meth:`begin`, if the tables were
            made for other stages.
    """

    def __init__(self, tables: PriceTables, loss_target: float) -> None:
        require(0 < loss_target < 1, "loss_target", "lie in (0, 1)", loss_target)
        self.tables, self.loss_target = tables, loss_target

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        made = [(s.device, s.first_exit, s.options, s.capacity) for s in self.tables.scene.stages]
        now = [(s.device, s.first_exit, s.options, s.capacity) for s in scene.stages]
        require(made == now, "tables", "be made for these stages", made)
        self._scene, self._rng = scene, rng
        first = {scene.stages[n].device: scene.stages[n].rate for n in scene.path_start[:-1]}
        self._first, self._known_rate = set(first), sum(first.values())
        losses = self.tables.predicted_loss(self._known_rate)
        kept = np.flatnonzero(losses <= SAFETY * self.loss_target)
        self._price = int(kept[0]) if len(kept) else int(losses.argmin())


def _listed(table: PostTable) -> list[list[list[Decision]]]:
    """Return the decisions by rate, price and jobs present: lists are faster than arrays here."""
    decisions = table.vectors.decisions
    return [[[decisions[a] for a in row] for row in page] for page in table.actions.tolist()]


class QueueAware(_Tabled):
    """The best thresholds for every backlog at the known rate, whatever context."""

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        super().begin(scene, rng)
        tables, price = self.tables.everywhere, self._price
        rates = {scene.posts[n]: scene.stages[n].rate for n in scene.path_start[:-1]}
        for post in sorted(self.tables.following):
            rate, table = rates[post], tables[post]
            going = rate * float(table.passed[table.row(rate), price])
            for behind, share in self.tables.following[post].items():
                rates[behind] = rates.get(behind, 0.0) + going * share
        self._rows = {
            post: _listed(table)[table.row(max(rates[post], float(table.rates[0])))][price]
            for post, table in tables.items()
        }

    def decide(self, seen: Seen) -> Decision:
        row = self._rows[self._scene.posts[seen.stage]]
        return row[min(seen.jobs, len(row)) - 1]


class DriftAware(_Tabled):
    """The best thresholds for backlog, measured rate, likeliest context and the price it takes."""

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        super().begin(scene, rng)
        self._rates = {stage.device: SteppingRate(stage.rate) for stage in scene.stages}
        target = SAFETY * self.loss_target
        self._priced = LossPrice(target, self._price, len(self.tables.prices) - 1)
        told = len(self.tables.contexts) > 1
        self._filter = ContextFilter(self.tables.scene.calibration) if told else None
        pages = self.tables.contexts if told else (self.tables.everywhere,)
        self._pages = [{post: _listed(table) for post, table in page.items()} for page in pages]
        self._context = 0
        table_of = self.tables.everywhere
        self._grid = {
            post: (float(np.log(t.rates[0])), len(t.rates), _log_step(t.rates))
            for post, t in table_of.items()
        }

    def decide(self, seen: Seen) -> Decision:
        post = self._scene.posts[seen.stage]
        rate = self._rates[self._scene.stages[post].device].rate(seen.time)
        lowest, rows, step = self._grid[post]
        place = round((float(np.log(rate)) - lowest) / step)
        by_price = self._pages[self._context][post][min(max(place, 0), rows - 1)]
        # Between two prices one of them, the nearer the likelier: on average the one between.
        price = int(self._priced.place + self._rng.random())
        row = by_price[min(price, len(by_price) - 1)]
        return row[min(seen.jobs, len(row)) - 1]

    def arrived(self, device: int, time: float, admitted: bool) -> None:
        self._rates[device].add(time)
        if device in self._first:
            self._priced.job()
        if not admitted:
            self._priced.loss()

    def finished(self, outcome: Outcome) -> None:
        if self._filter is not None and outcome.asked:
            self._filter.see(*outcome.asked[0])
            self._context = int(self._filter.belief.argmax())


def _log_step(rates: NDArray[np.float64]) -> float:
    """Return the step of a logarithmic grid."""
    return float(np.log(rates[-1] / rates[0])) / (len(rates) - 1)
