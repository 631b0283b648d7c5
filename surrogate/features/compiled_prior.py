"""The prior from the compiled decomposition, where nobody asks for its gradients.

The features are one function in torch, and the prior is its one exception: the rounds of the
decomposition are hundreds of small operations, whose overhead alone is half of the time of the
features, and more than the whole network's for a single deployment. The rule, its constants and the
rounds are those of :mod:`surrogate.features.decomposition`; a test holds every value together.

The kernel reads the steps of a path one after the other, so they are put back into the order of the
batch, and what it says into the order of recurrence.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datagen.analytic.decomposition import decomposed, partners
from datagen.analytic.stream_kernel import Steps
from surrogate.features.arrays import FlowArrays
from surrogate.features.prior import PACING, Prior

__all__ = ["compiled_prior", "kernel_steps"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def compiled_prior(arrays: FlowArrays) -> Prior:
    """Decompose deployments.

    Args:
        arrays: The deployments, on the CPU.

    Returns:
        The prior; it carries no gradients.
    """
    steps = kernel_steps(arrays)
    flows, devices = decomposed(steps, PACING)
    row = arrays.step_row.numpy()
    dtype = arrays.step_mean.dtype

    def of_steps(**fields: Floats) -> dict[str, Tensor]:
        values = torch.from_numpy(np.stack(list(fields.values()))[:, row])
        return dict(zip(fields, values.to(dtype).unbind(), strict=True))

    def of_devices(**fields: Floats) -> dict[str, Tensor]:
        values = torch.from_numpy(np.stack(list(fields.values())))
        return dict(zip(fields, values.to(dtype).unbind(), strict=True))

    return Prior(
        **of_steps(
            step_rate=flows.reaching,
            step_arrival_scv=flows.scv,
            hop_arrival_scv=flows.hop_scv,
            hop_share=flows.hop_share,
            hop_arrivals=flows.hop_arrivals,
            step_spaced=flows.spaced,
            step_remaining=flows.remaining,
            step_loss=1.0 - flows.accepted,
            step_wait=flows.wait,
        ),
        **of_devices(
            arrival_scv=devices.scv,
            lasting_scv=devices.lasting,
            departing_scv=devices.found_departing,
            forgotten=devices.found_forgotten,
            pace=devices.pace,
            elasticity=devices.elasticity,
            offered=_offered(steps),
            load=devices.work / steps.servers,
            loss=devices.loss,
            waiting=devices.waiting,
            mean=devices.mean,
            scv=devices.service_scv,
            capacity=devices.room,
        ),
    )


def _offered(steps: Steps) -> Floats:
    """Loads if nothing were lost [D]."""
    work = np.bincount(
        steps.device, weights=steps.source_rate * steps.mean, minlength=steps.servers.size
    )
    return work / steps.servers


def kernel_steps(arrays: FlowArrays) -> Steps:
    """Return deployments as compiled kernels read them, in the order of the batch.

    Args:
        arrays: The deployments, on the CPU.

    Returns:
        Steps, and their devices, in the types that kernels are compiled for.
    """
    row, flow = arrays.step_row.numpy(), arrays.step_flow.numpy()
    chain = arrays.flow_chain.numpy()
    deployment = arrays.chain_deployment.numpy()
    paths = np.bincount(deployment[chain], minlength=arrays.deployments)
    rate = _floats(arrays.flow_rate)
    # A path that takes a random share p of a stream has SCV 1 + p (SCV - 1).
    share = _floats(arrays.flow_probability)
    scv = 1.0 + share * (_floats(arrays.chain_scv)[chain] - 1.0)
    indices = np.empty((2, len(row)), dtype=np.int64)
    indices[:, row] = arrays.step_device.numpy(), arrays.step_position.numpy()
    reals = np.empty((5, len(row)))
    reals[:, row] = (
        rate[flow],
        scv[flow],
        arrays.step_mean.detach().numpy(),
        arrays.step_scv.detach().numpy(),
        arrays.step_demand.detach().numpy(),
    )
    device, position = indices
    source_rate, source_scv, mean, service_scv, demand = reals
    return Steps(
        deployment_path=_starts(paths),
        path_step=np.append(np.flatnonzero(position == 0), len(row)),
        deployment_device=_starts(
            np.bincount(arrays.device_deployment.numpy(), minlength=arrays.deployments)
        ),
        device=device,
        position=position,
        partner=partners(device, position),
        source_rate=source_rate,
        source_scv=source_scv,
        mean=mean,
        scv=service_scv,
        demand=demand,
        servers=_floats(arrays.device_servers),
        capacity=_floats(arrays.device_capacity),
    )


def _starts(counts: Ints) -> Ints:
    return np.concatenate([[0], np.cumsum(counts)])


def _floats(values: Tensor) -> Floats:
    return values.detach().numpy().astype(np.float64)
