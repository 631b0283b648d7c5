"""Random laws, processes and deployments that use every part of the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from datagen.arrivals import (
    Arrivals,
    MarkovModulated,
    Periodic,
    PiecewisePoisson,
    Poisson,
    Recorded,
    Renewal,
)
from datagen.deployment import (
    BatchConfig,
    Chain,
    Deployment,
    Device,
    Exit,
    Fragment,
    Link,
    Npu,
    Problem,
    Variant,
)
from datagen.distributions import (
    Deterministic,
    Empirical,
    Erlang,
    Exponential,
    Gamma,
    HyperExponential,
    Law,
    LogNormal,
    Uniform,
)
from datagen.exits import ContextSchedule, ContextSwitching, ExitMix, ExitTrace, Thresholds
from datagen.npu import BatchTable

positive = st.floats(1e-6, 1e9, allow_subnormal=False)
# Nothing that a machine takes in between: the square of 1e-174 s is 0.
work = st.just(0.0) | st.floats(1e-9, 1e6)
# Words that YAML 1.1 and 1.2 read differently, or as something else than text.
names = st.one_of(
    st.sampled_from(["on", "no", "null", "~", "1", "512e6", "1e3", ".5", "0x1F", "law", "a: b"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=6),
)


def laws() -> st.SearchStrategy[Law]:
    scv = st.floats(0.01, 10)
    return st.one_of(
        st.builds(Deterministic, mean=work),
        st.builds(Exponential, mean=work),
        st.builds(Erlang, mean=work, stages=st.integers(1, 9)),
        st.builds(Gamma, mean=work, scv=scv),
        st.builds(HyperExponential, mean=work, scv=st.floats(1, 10)),
        st.builds(LogNormal, mean=work, scv=scv),
        st.builds(lambda a, b: Uniform(low=min(a, b), high=max(a, b)), work, work),
        st.builds(Empirical, values=st.lists(work, min_size=1, max_size=4)),
    )


def arrivals() -> st.SearchStrategy[Arrivals]:
    rates = st.floats(0.01, 100)
    return st.one_of(
        st.builds(Poisson, rate=positive),
        st.builds(Renewal, mean=positive, scv=st.floats(0.1, 10)),
        st.builds(lambda p, j: Periodic(period=p, jitter=j * p), positive, st.floats(0, 1)),
        st.builds(MarkovModulated, rates=st.tuples(rates, rates), switch=st.tuples(rates, rates)),
        st.builds(
            lambda r, s: MarkovModulated(rates=r, switch=s).as_map(),
            st.tuples(rates, rates),
            st.tuples(rates, rates),
        ),
        st.builds(lambda a, b: PiecewisePoisson(times=(0.0, 5.0), rates=(a, b)), rates, rates),
        st.builds(
            lambda t: Recorded(timestamps=tuple(sorted(t))),
            st.lists(positive, min_size=1, max_size=5),
        ),
    )


def _npus(models: dict[str, int]) -> st.SearchStrategy[Npu]:
    tables = {
        model: BatchTable(seconds=np.cumsum(np.ones((fragments, 5)) / 3.0, axis=1))
        for model, fragments in models.items()
    }
    return st.one_of(
        st.builds(Npu, network=st.just("resnet50"), array=st.sampled_from([None, "wide"])),
        st.builds(
            Npu,
            network=st.just(dict.fromkeys(models, "mobilenetv2")),
            variant=st.sampled_from(["fixed", "fluid+stackable"]),
        ),
        st.just(Npu(table=tables)),
    )


def _device(draw: st.DrawFn, name: str, models: dict[str, int]) -> Device:
    servers = draw(st.integers(1, 3))
    device = Device(
        name=name,
        speed=draw(positive),
        servers=servers,
        capacity=draw(st.none() | st.integers(1, 99)),
        memory=draw(st.none() | work),
        discipline=draw(st.sampled_from(["fcfs", "priority", "ps"])),
        power=draw(st.none() | st.tuples(work, work) | st.tuples(*[work] * 11)),
        speedup=draw(st.none() | st.tuples(*[positive] * servers)),
    )
    npu = draw(st.none() | _npus(models))
    plain = {"speed": 1.0, "servers": 1, "discipline": "fcfs", "speedup": None}
    return device if npu is None else replace(device, npu=npu, **plain)  # type: ignore[arg-type]


def _fragments(draw: st.DrawFn, devices: list[str]) -> tuple[Fragment, ...]:
    service = laws() | st.fixed_dictionaries({name: laws() for name in devices})
    return tuple(
        Fragment(
            name=name,
            service=draw(service),
            demand=draw(st.integers(1, 3)),
            weights=draw(work),
            output=draw(work),
            exit=draw(st.none() | st.builds(Exit, head=laws())),
            allowed=draw(st.none() | st.just(tuple(devices))),
        )
        for name in draw(st.lists(names, min_size=1, max_size=3, unique=True))
    )


CHANGES = (
    None,
    ContextSwitching(holding=(1e9, 2e9)),
    ContextSwitching(holding=(1.0, 30.5), by="jobs"),
    ContextSchedule(times=(0.0, 1.5), contexts=(1, 0)),
)


@st.composite
def _traces(draw: st.DrawFn, chain: str, fragments: tuple[Fragment, ...]) -> ExitTrace:
    exits = 1 + sum(fragment.exit is not None for fragment in fragments)
    seed = np.random.default_rng(draw(st.integers(0, 9)))
    return ExitTrace(
        name=f"trace of {chain}",
        confidences=seed.random((4, exits)),
        correct=seed.random((4, exits)) > 0.5,
        context=draw(st.none() | st.just(np.array([0, 1, 0, 0]))),
        cost=draw(st.none() | st.just(np.arange(exits) / 8.0)),
    )


def _decisions(draw: st.DrawFn, problem: Problem) -> Deployment:
    devices = [device.name for device in problem.devices]
    placement, routing, exits = {}, {}, {}
    for chain in problem.chains:
        path = st.tuples(*[st.sampled_from(devices)] * len(chain.fragments))
        placement[chain.name] = tuple(draw(st.lists(path, min_size=1, max_size=2)))
        if len(placement[chain.name]) == 2:
            share = draw(st.floats(0, 1))
            routing[chain.name] = (share, 1 - share)
        heads = sum(fragment.exit is not None for fragment in chain.fragments)
        mix = ExitMix(p=(*[0.0] * heads, 1.0), accuracy=(0.5,) * (heads + 1))
        decision = draw(st.sampled_from([None, mix, Thresholds(tau=(0.75,) * heads)]))
        if decision is not None and not chain.parallel:
            exits[chain.name] = decision
    batching = {
        device.name: BatchConfig(policy="dynamic", max_batch=4, timeout=0.5)
        for device in problem.devices
        if device.npu is not None
    }
    return Deployment(
        problem=problem,
        placement=placement,
        routing=routing,
        exits=exits,
        batching=draw(st.sampled_from([None, batching])),
        fuse=draw(st.booleans()),
    )


@st.composite
def deployments(draw: st.DrawFn) -> Deployment:
    devices = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    drawn = [
        (name, _fragments(draw, devices))
        for name in draw(st.lists(names, min_size=1, max_size=2, unique=True))
    ]
    traces = {name: draw(st.none() | _traces(name, fragments)) for name, fragments in drawn}
    chains = tuple(
        Chain(
            name=name,
            arrivals=draw(arrivals()),
            fragments=fragments,
            model=draw(st.sampled_from([None, f"the network of {name}"])),
            priority=draw(st.integers(-2, 2)),
            deadline=draw(st.none() | positive),
            parallel=draw(st.booleans()),
            trace=trace and trace.name,
            contexts=draw(st.sampled_from(CHANGES)) if trace and trace.contexts else None,
            variants=draw(
                st.sampled_from([
                    (),
                    (
                        Variant(
                            name="small",
                            fragments=(Fragment(name="s", service=Deterministic(mean=1.0)),),
                            accuracy=0.5,
                        ),
                    ),
                ])
            ),
        )
        for (name, fragments), trace in zip(drawn, traces.values(), strict=True)
    )
    links = ()
    if len(devices) > 1:
        link = Link(source=devices[0], target=devices[1], bandwidth=5e6, latency=draw(work))
        back = replace(link, source=devices[1], target=devices[0], release="start")
        links = draw(st.sampled_from([(), (link,), (back, link)]))
    models = {str(chain.model): len(chain.fragments) for chain in chains}
    made = tuple(_device(draw, name, models) for name in devices)
    if any(device.npu is not None for device in made):
        chains = tuple(replace(chain, parallel=False) for chain in chains)
    problem = Problem(
        devices=made,
        chains=chains,
        links=links,
        traces=tuple(trace for trace in traces.values() if trace is not None),
        overflow=draw(st.sampled_from(["drop", "block"])),
    )
    return _decisions(draw, problem)
