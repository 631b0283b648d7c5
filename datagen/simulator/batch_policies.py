"""Simulating batching policies of one's own: a deployment, a policy per accelerator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from datagen.deployment import Deployment
from datagen.errors import require
from datagen.evaluation import Measures, pack
from datagen.npu import BatchPolicy
from datagen.simulator.options import SimulationOptions
from datagen.simulator.simpy_engine import SimpyEngine
from datagen.simulator.simulation import simulate_batch

__all__ = ["simulate_batch_policies"]


def simulate_batch_policies(
    deployment: Deployment,
    policies: Mapping[str, Callable[[], BatchPolicy]],
    options: SimulationOptions,
) -> Measures:
    """Simulate a deployment whose accelerators form batches by policies of one's own.

    Every policy meets the same jobs, at the same times, as the policies of the file format do.

    Args:
        deployment: The deployment; largest batch, time-out and compaction are those of its
            ``batching``, the policies named there are not looked at.
        policies: Accelerator -> what makes its policy, called once per run, for instance a class;
            accelerators without one follow the deployment.
        options: How long, how often; the engine is always the readable one.

    Returns:
        The measures.

    Raises:
        InvalidInputError: If a policy is for no accelerator of the deployment.
    """
    devices = deployment.problem.devices
    accelerators = [device.name for device in devices if device.npu is not None]
    strange = sorted(set(policies) - set(accelerators))
    require(not strange, "policies", f"be for accelerators among {accelerators}", strange)
    makers = {
        index: policies[device.name]
        for index, device in enumerate(devices)
        if device.name in policies
    }
    engine = SimpyEngine(batching=makers)
    return simulate_batch(pack([deployment]), replace(options, engine="simpy"), engine=engine)
