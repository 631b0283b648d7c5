"""The measures of one finite queue, in the form that each exact result of this package returns."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FiniteQueueMeasures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FiniteQueueMeasures:
    """Steady-state measures of a queue that loses the jobs that find it full.

    ``mean_jobs == throughput * mean_latency`` by Little's law.
    """

    loss_probability: float
    """Fraction of the arriving jobs that find no room, in [0, 1)."""
    throughput: float
    """Rate of served jobs [1/s]."""
    mean_jobs: float
    """Mean number of jobs at the device, those in service included."""
    mean_latency: float
    """Mean time that an accepted job spends at the device, its service included [s]."""
    utilization: float
    """Mean fraction of the servers that are busy, in [0, 1]."""

    @classmethod
    def of(
        cls,
        *,
        arrival_rate: float,
        loss_probability: float,
        mean_jobs: float,
        load: float,
    ) -> FiniteQueueMeasures:
        """Derive the measures that loss and mean jobs imply.

        Args:
            arrival_rate: Rate of the arrivals, lost ones included [1/s], > 0.
            loss_probability: Fraction of the arriving jobs that is lost, in [0, 1).
            mean_jobs: Mean number of jobs at the device, >= 0.
            load: Offered load per server, arrival rate times mean service time over servers, > 0.

        Returns:
            All measures.
        """
        accepted = 1.0 - loss_probability
        throughput = arrival_rate * accepted
        return cls(
            loss_probability=loss_probability,
            throughput=throughput,
            mean_jobs=mean_jobs,
            mean_latency=mean_jobs / throughput,
            utilization=load * accepted,
        )
