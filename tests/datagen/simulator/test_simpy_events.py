"""Events of the readable engine happen at absolute times, in the order of their keys."""

from __future__ import annotations

from datagen.simulator.simpy_events import KeyedEnvironment, Life

EARLY, LATE = 10, 20


def test_keys_order_the_events_of_an_instant() -> None:
    env = KeyedEnvironment()
    seen = []
    for time, key in ((0.3, LATE), (0.1, LATE), (0.3, EARLY), (0.1 + 0.2, EARLY)):
        event = env.at(time, key)
        event.callbacks.append(lambda _, it=(time, key): seen.append((env.now, *it)))
    env.play_until(1.0)
    expected = [(0.1, LATE), (0.3, EARLY), (0.3, LATE), (0.1 + 0.2, EARLY)]
    assert seen == [(time, time, key) for time, key in expected]


def test_a_process_starts_at_once_and_goes_from_event_to_event() -> None:
    env = KeyedEnvironment()
    seen = []

    def life() -> Life:
        seen.append(env.now)
        yield env.at(1.0, EARLY)
        seen.append(env.now)
        yield env.at(1.0, LATE)
        seen.append(env.now)

    env.start(life())
    assert seen == [0.0]
    env.play_until(0.5)
    assert (seen, env.now) == ([0.0], 0.5)
    env.play_until(1.0)
    assert seen == [0.0, 1.0, 1.0]


def test_what_comes_next_is_earlier_than_all_that_waits() -> None:
    env = KeyedEnvironment()
    env.at(0.0, EARLY)
    assert env.comes_next(0.0, EARLY - 1)
    assert not env.comes_next(0.0, EARLY + 1)
    assert not env.comes_next(1.0, EARLY - 1)
