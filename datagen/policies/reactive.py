"""The reactive policy: a ladder of exits, one down at every loss, one up when the line is empty.

References:
    Github imperial-qore/CEED (BSD 3-Clause), ``single_exit/reactive``. There the ladder also
    climbs at every look into an empty line, so that its speed depends on how often one looks; here
    it climbs once per service that leaves nobody waiting.
"""

from __future__ import annotations

import numpy as np

from datagen.policies.exit_policy import Decision, ExitPolicy, Scene, Seen

__all__ = ["Reactive"]


class Reactive(ExitPolicy):
    """One exit for all jobs of a device; it starts at the deepest."""

    def begin(self, scene: Scene, rng: np.random.Generator) -> None:
        self._stages = scene.stages
        self._options = {stage.device: stage.options - 1 for stage in scene.stages}

    def decide(self, seen: Seen) -> Decision:
        stage = self._stages[seen.stage]
        option = min(self._options[stage.device], stage.options - 1)
        if seen.waiting == 0:
            self._options[stage.device] = min(option + 1, stage.options - 1)
        return stage.single[option]

    def arrived(self, device: int, time: float, admitted: bool) -> None:
        if not admitted:
            self._options[device] = max(self._options[device] - 1, 0)
