"""A deployment with early exits as one without: a chain of its own for every path and exit.

Jobs that leave at exit e of path r are a random share q_r p_e of their chain's jobs. As a chain of
their own they arrive at that share of its rate; the times between them have the squared coefficient
of variation 1 + q_r p_e (SCV - 1). They pass what the others pass as far as their exit, open
classifiers on the way included, and take the same room. With Poisson arrivals and jobs that draw
their exits independently of each other, the two deployments are equal in law; with draws that are
correlated, or arrivals that are not Poisson, the expansion is an approximation.
"""

from __future__ import annotations

from dataclasses import replace

from datagen.arrivals import Arrivals, Poisson, Renewal
from datagen.deployment import Chain, Deployment, Fragment, Step
from datagen.distributions import Law
from datagen.errors import NotSupportedError
from datagen.evaluation.packing import DeploymentTables

__all__ = ["LEAST_SHARE", "expanded_deployment", "part_name"]

LEAST_SHARE = 1e-6
"""Parts of a chain below this share of its jobs are left out: they move no measure."""


def part_name(chain: str, path: int, exit_fragment: int) -> str:
    """Return the name of a part of a chain.

    Args:
        chain: Name of the chain.
        path: 0-based path.
        exit_fragment: 0-based fragment after which its jobs leave.

    Returns:
        The name.
    """
    return f"{chain}/{path}/{exit_fragment}"


def expanded_deployment(deployment: Deployment) -> Deployment:
    """Return the deployment with a chain for every path and exit.

    Args:
        deployment: Any whose chains are not parallel.

    Returns:
        A deployment without exits whose chains have one path each, named by :func:`part_name`.

    Raises:
        NotSupportedError: If a chain is parallel, or fragments are steps of their own.
    """
    problem, tables = deployment.problem, DeploymentTables(deployment)
    if not deployment.fuse:
        # A classifier is a fragment of its own here, which has to be fused with the one before.
        raise NotSupportedError("expanded_deployment", "fuse=false")
    steps, heads = deployment.steps(), iter(tables.leaving.heads)
    assert deployment.routing is not None
    chains: list[Chain] = []
    placement: dict[str, tuple[tuple[str, ...], ...]] = {}
    for number, chain in enumerate(problem.chains):
        if chain.parallel:
            raise NotSupportedError("expanded_deployment", "parallel=true")
        shares = _shares(tables, number)
        for path, devices in enumerate(deployment.placement[chain.name]):
            own = [next(heads) for _ in chain.fragments]
            fragments, places = _with_heads(chain, own, steps[number][path], devices)
            for last, share in shares.items():
                part = deployment.routing[chain.name][path] * share
                if part < LEAST_SHARE:
                    continue
                name = part_name(chain.name, path, last)
                kept = sum(1 + (head is not None) for head in own[: last + 1])
                chains.append(
                    replace(
                        chain,
                        name=name,
                        arrivals=_thinned(chain.arrivals, part),
                        fragments=fragments[:kept],
                        trace=None,
                        contexts=None,
                    )
                )
                placement[name] = (places[:kept],)
    expanded = replace(problem, chains=tuple(chains), traces=())
    return Deployment(problem=expanded, placement=placement, batching=deployment.batching)


def _shares(tables: DeploymentTables, number: int) -> dict[int, float]:
    """Return the share of a chain's jobs by the last fragment they pass."""
    rows = tables.leaving.exits[number]
    shares: dict[int, float] = {}
    for last, share in zip(rows["fragment"], rows["probability"], strict=True):
        shares[int(last)] = shares.get(int(last), 0.0) + share
    chain = tables.base.problem.chains[number]
    return shares or {len(chain.fragments) - 1: 1.0}


def _thinned(arrivals: Arrivals, share: float) -> Arrivals:
    """Return a random share of a stream."""
    if isinstance(arrivals, Poisson):
        return Poisson(rate=arrivals.rate * share)
    scv = 1.0 + share * (arrivals.scv - 1.0)
    return Renewal(mean=1.0 / (arrivals.rate * share), scv=scv)


def _with_heads(
    chain: Chain, heads: list[Law | None], steps: tuple[Step, ...], devices: tuple[str, ...]
) -> tuple[tuple[Fragment, ...], tuple[str, ...]]:
    """Return fragments and open classifiers one after the other, and the device of each.

    Each takes the room of its whole step: a job takes it before anyone knows where it leaves.
    """
    fragments: list[Fragment] = []
    places: list[str] = []
    for step in steps:
        for place in range(step.start, step.stop):
            fragment, head = chain.fragments[place], heads[place]
            fragments.append(replace(fragment, demand=step.demand, exit=None))
            places.append(devices[place])
            if head is not None:
                name = f"{fragment.name}/classifier"
                output = fragment.output
                extra = Fragment(name=name, service=head, demand=step.demand, output=output)
                fragments.append(extra)
                places.append(devices[place])
    return tuple(fragments), tuple(places)
