"""The readable engine: the model written as SimPy processes.

A process per chain lets its jobs arrive, and a process per job takes it through its steps. Nothing
competes through SimPy's resources: whatever happens at a device is an event with a key of
:mod:`datagen.simulator.keys`, so simultaneous events are played in the order the model defines, and
the compiled loop gives the same event log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import cast

import numpy as np
from simpy.events import Event

from datagen.npu import BatchPolicy
from datagen.simulator.batching import NO_ACCELERATOR
from datagen.simulator.engine import BatchCounts, Engine, Run
from datagen.simulator.event_log import ARRIVED, FINISHED, LEFT, LOST, MOVED, SENT, event_log
from datagen.simulator.keys import ADMIT, FINISH, JOB_SHIFT, event_key
from datagen.simulator.network import Network
from datagen.simulator.randomness import ChainDraws
from datagen.simulator.simpy_accelerators import Accelerator, BatchSums
from datagen.simulator.simpy_cores import Cores
from datagen.simulator.simpy_devices import Device, PriorityDevice, SharedDevice, Token
from datagen.simulator.simpy_doors import DeadlockFound
from datagen.simulator.simpy_events import KeyedEnvironment, Life
from datagen.simulator.simpy_hops import Arrival, Hops, Stay, Visit
from datagen.simulator.simpy_sums import ChainSums, Join, Step, routes, tally_of
from datagen.simulator.simpy_work import Drawn, JobWork, WorkSource
from datagen.simulator.tally import RunLength

__all__ = ["SimpyEngine"]

PolicyMakers = Mapping[int, Callable[[], BatchPolicy]]


class System:
    """The devices, the processes that meet there, and what is counted."""

    def __init__(
        self, network: Network, length: RunLength, log: bool, batching: PolicyMakers
    ) -> None:
        self._batching = batching
        self.env = KeyedEnvironment()
        self.length = length
        self.batches = None if network.batching is None else BatchSums(network.batching, length)
        self.devices = [self.device(index, network) for index in range(network.devices)]
        self.chains = [ChainSums(deadline) for deadline in network.deadline.tolist()]
        self.steps, self.routes = routes(network, self.devices)
        contention = network.contention
        self.hops = contention and Hops(self.env, contention, self.devices, self.note)
        self.parallel = [False] * network.chains if contention is None else contention.parallel
        self.events = 0
        self.pending = 0
        self.records: list[tuple[int, int, int, int, int]] | None = [] if log else None
        self.times: list[float] = []

    def device(self, index: int, network: Network) -> Device:
        """Return a device of the network."""
        if network.batching is not None and network.batching.policy[index] != NO_ACCELERATOR:
            assert self.batches is not None
            policy = self._batching[index]() if index in self._batching else None
            return Accelerator(self.env, index, network, self.batches, self.note, policy)
        size = (int(network.servers[index]), float(network.capacity[index]))
        sharing = network.sharing
        cores = None
        if sharing is not None and sharing.shares[index]:
            cores = Cores(self.env, index, size[0], sharing)
            if sharing.welcomes[index]:
                return SharedDevice(self.env, *size, cores)
        if network.features is None or not network.features.prioritized[index]:
            return Device(self.env, *size, cores)
        classes = network.features.chain_class.tolist()
        return PriorityDevice(
            self.env, *size, index=index, classes=classes, note=self.note, cores=cores
        )

    def note(self, kind: int, chain: int, job: int, step: int, outcome: int) -> None:
        """Write a line of the event log."""
        if self.records is not None:
            self.times.append(self.env.now)
            self.records.append((kind, chain, job, step, outcome))

    def arrivals(self, chain: int, jobs: Iterator[tuple[float, JobWork]]) -> Life:
        """Let the jobs of a chain arrive, one after the other."""
        env, key = self.env, event_key(ADMIT, chain, 0, 0)
        for job, (time, work) in enumerate(jobs):
            yield env.at(time, key + (job << JOB_SHIFT))
            self.events += 1
            if self.parallel[chain]:
                self.branches(chain, job, work)
            else:
                env.start(self.job(chain, job, work))

    def job(self, chain: int, job: int, work: JobWork) -> Life:
        """Take a job through its steps, until it completes or is lost."""
        env, sums, note = self.env, self.chains[chain], self.note
        arrival = delivery = env.now
        admit_key, finish_key = event_key(ADMIT, chain, job, 0), event_key(FINISH, chain, job, 0)
        batch = self.length.batch_of(arrival)
        counts = int(batch >= 0)  # 1 for a job of the cohort: only these enter the sums
        self.pending += counts
        sums.offered[batch] += counts
        sojourns: list[float] = []
        stays, arrives = False, Arrival.ASKS
        for index, step in enumerate(work.route.steps):
            if index > 0 and not stays and self.hops is None:
                at_once = env.comes_next(delivery, admit_key + index)
                # What comes after an accelerator is not known before its whole batch has ended.
                if not at_once or work.route.steps[index - 1].line is not None:
                    yield env.at(delivery, admit_key + index)
            step.offered += counts
            entered, finished, key = env.now, Event(env), finish_key + index
            token = Token(finished, work, key, chain, job, index, step.line, arrival)
            if stays:
                cast("Accelerator", step.device).stay(token)
            elif not self.admits(step, work, token, arrives):
                step.lost += counts
                sums.lost[batch] += counts
                self.pending -= counts
                return
            yield finished
            self.events += 1
            last = index == work.route.last
            stays = step.stays and not last
            stay = Stay(step, entered, counts, sojourns)
            if self.hops is not None and not stays and not last:
                visit = Visit(chain, job, index, key, admit_key + index + 1)
                arrives = yield from self.hops.go(visit, stay, work.route.steps[index + 1])
                continue
            kept = 0.0 if last else step.kept
            if not stays:
                step.device.finish(step.demand - kept)
            note(FINISHED, chain, job, index, LEFT if last else MOVED)
            stay.end(env.now)
            if last:
                break
            delivery = env.now + step.delay
            if kept:
                yield env.at(delivery, key)
                step.device.free(kept)
                note(SENT, chain, job, index, MOVED)
        if counts:
            self.pending -= 1
            sums.complete(batch, env.now - arrival)
            work.route.complete(sojourns)
        work.completes()

    def branches(self, chain: int, job: int, work: JobWork) -> None:
        """Let all branches of a job arrive at once; count the job when the last of them ends."""
        sums, now = self.chains[chain], self.env.now
        batch = self.length.batch_of(now)
        counts = int(batch >= 0)
        sums.offered[batch] += counts
        join = Join(len(work.route.steps))
        for index, step in enumerate(work.route.steps):
            key = event_key(FINISH, chain, job, index)
            token = Token(Event(self.env), work, key, chain, job, index, step.line, now)
            step.offered += counts
            if self.admits(step, work, token):
                self.pending += counts
                join.running += 1
                self.env.start(self.branch(token, Stay(step, now, counts, []), join, batch))
            else:
                step.lost += counts
                sums.lost[batch] += counts and not join.failed
                join.failed = True

    def branch(self, token: Token, stay: Stay, join: Join, batch: int) -> Life:
        """Take a branch through its only step."""
        yield token.finished
        self.events += 1
        stay.step.device.finish(stay.step.demand)
        self.note(FINISHED, token.chain, token.job, token.step, LEFT)
        stay.end(self.env.now)
        self.pending -= stay.counts
        if join.ends(token.step, stay.sojourns[0]):
            work = cast("JobWork", token.work)
            if stay.counts:
                self.chains[token.chain].complete(batch, self.env.now - token.arrival)
                work.route.complete(join.sojourns)
            work.completes()

    def admits(
        self, step: Step, work: JobWork, token: Token, arrives: Arrival = Arrival.ASKS
    ) -> bool:
        """Let a job in at the device of a step, if there is room; return whether."""
        device = step.device
        if arrives is Arrival.REFUSED:
            work.arrives(token.step, device, False)
            return False
        if arrives is Arrival.RESERVED:
            work.arrives(token.step, device, True)
            outcome = device.enter_reserved(token)
            self.note(ARRIVED, token.chain, token.job, token.step, outcome)
            return True
        has_room = device.has_room(step.demand)
        work.arrives(token.step, device, has_room)
        outcome = device.enter(step.demand, token) if has_room else LOST
        self.note(ARRIVED, token.chain, token.job, token.step, outcome)
        return has_room

    def play(self) -> bool:
        """Play until the cohort has left; return whether some job of it has not by the limit."""
        env, length = self.env, self.length
        env.play_until(length.warmup)
        for device in self.devices:
            device.begin_window()
        env.play_until(length.horizon)
        self.close()
        while self.pending:
            if env.peek() > length.limit:
                return True
            env.step()
        return False

    def close(self) -> None:
        """End the window at all devices."""
        for device in self.devices:
            device.end_window()


class SimpyEngine(Engine):
    """Plays SimPy processes: the reference that the compiled loop is tested against.

    Args:
        work: Where the services of jobs come from: by default they are drawn before the jobs
            arrive; a policy may decide on them when they start.
        batching: Device, 0-based -> what makes the policy by which an accelerator forms batches;
            others follow the network.
    """

    name = "simpy"

    def __init__(
        self, work: WorkSource | None = None, batching: PolicyMakers | None = None
    ) -> None:
        self.work, self.batching = work or Drawn(), batching or {}

    def run(
        self, network: Network, sources: list[ChainDraws], length: RunLength, *, log: bool = False
    ) -> Run:
        """Play one replication."""
        system = System(network, length, log, self.batching)
        for chain, source in enumerate(sources):
            jobs = self.work.jobs(chain, source, system.routes[chain])
            system.env.start(system.arrivals(chain, jobs))
        truncated, deadlock = False, None
        try:
            truncated = system.play()
        except DeadlockFound:
            deadlock = system.env.now
            system.close()
        records = None
        if system.records is not None:
            columns = np.array(system.records, dtype=np.int64).reshape(-1, 5)
            records = event_log(np.array(system.times), columns)
        completed = [route.completed for own in system.routes for route in own]
        return Run(
            tally=tally_of(system.chains, system.steps, system.devices),
            events=system.events,
            truncated=truncated,
            deadlock=deadlock,
            log=records,
            route_completed=None if network.features is None else np.array(completed),
            batches=None
            if system.batches is None
            else BatchCounts(system.batches.sizes, system.batches.preemptions),
        )
