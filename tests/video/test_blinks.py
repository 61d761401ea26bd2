"""Blinks, long closures and PERCLOS of openings whose closures are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jvcr.video.blinks import Closure, EyeLimits, EyeSummary, EyeWatch

OPEN = 0.56
RAW = EyeLimits(smoothing_s=0)
"""Without the filter, crossings can be worked out by hand."""

Opening = Callable[[float], float]


def shut_at(*closures: tuple[float, float], opened: float = OPEN, closes_s: float = 0.05) -> Opening:
    """An eye that is half closed from each first time to the second; the lid takes ``closes_s`` for half its way."""

    def opening(time_s: float) -> float:
        share = 1.0
        for start_s, end_s in closures:
            outside_s = max(start_s - time_s, time_s - end_s)
            share = min(share, max(0.0, min(1.0, 0.5 + outside_s / (2 * closes_s))))
        return opened * share

    return opening


def watched(
    times: Iterable[float],
    right: Opening,
    left: Opening | None = None,
    limits: EyeLimits | None = None,
    noise: float = 0.0,
) -> EyeWatch:
    watch, chance = EyeWatch(limits), np.random.default_rng(0)
    for time in times:
        errors = noise * chance.standard_normal(2)
        watch.add(float(time), right(time) + errors[0], (left or right)(time) + errors[1])
    return watch


def times_at(rate: float, end_s: float) -> np.ndarray:
    return np.arange(round(end_s * rate) + 1) / rate


def check(found: list[Closure], expected: list[tuple[float, float]], tolerance_s: float) -> None:
    assert len(found) == len(expected), found
    for closure, (start_s, end_s) in zip(found, expected, strict=True):
        assert closure.start_s == pytest.approx(start_s, abs=tolerance_s)
        assert closure.end_s == pytest.approx(end_s, abs=tolerance_s)


def test_by_hand() -> None:
    watch = EyeWatch(RAW)
    for time_s, opening in ((0.0, 0.4), (0.1, 0.4), (0.2, 0.0), (0.3, 0.0), (0.4, 0.4), (0.5, 0.4)):
        state = watch.add(time_s, opening, opening)
    assert state.right == state.left == 1.0 and state.closed is False
    summary = watch.summary()
    # The line from 0.4 to 0 crosses one half of 0.4 in the middle.
    check(summary.blinks, [(0.15, 0.35)], 1e-9)
    assert summary.blinks[0].eyes == "both" and summary.blinks[0].whole
    assert summary.blinks[0].duration_s == pytest.approx(0.2)
    # Closed from 0.2 to 0.3 and for half of the steps to and from there, of 0.5 seconds.
    assert summary.perclos == pytest.approx(0.2 / 0.5)
    assert summary.known_s == pytest.approx(0.5) and summary.unknown_s == 0
    assert summary.frames_per_s == pytest.approx(10) and summary.is_slow
    assert summary.blinks_per_min == pytest.approx(120)
    assert summary.open_right == 0.4 and summary.long_closures == []


BLINKS = [(2 + 3.1 * number, 2 + 3.1 * number + length) for number, length in enumerate([0.1, 0.15, 0.2, 0.25] * 4)]


@pytest.mark.parametrize("rate", [25, 30, 60, 120])
def test_blinks_are_found_in_noise(rate: float) -> None:
    summary = watched(times_at(rate, 55), shut_at(*BLINKS), noise=0.03).summary()
    check(summary.blinks, BLINKS, 0.03)
    assert {blink.eyes for blink in summary.blinks} == {"both"}
    lengths = [blink.duration_s for blink in summary.blinks]
    np.testing.assert_allclose(lengths, [end - start for start, end in BLINKS], atol=0.04)
    assert summary.frames_per_s == pytest.approx(rate) and not summary.is_slow
    assert summary.open_right == pytest.approx(OPEN, rel=0.1)


def test_noise_alone_is_no_blink() -> None:
    summary = watched(times_at(30, 120), lambda t: OPEN, noise=0.06).summary()
    assert summary.blinks == summary.long_closures == [] and summary.perclos == 0


def found_of_100(rate: float, length_s: float) -> int:
    """Blinks of both eyes that are found, of 100. A third of one is closing, half of it opening."""
    chance = np.random.default_rng(0)
    starts = 1.2 * np.arange(1, 101) + chance.uniform(0, 0.5, 100)

    def opening(time_s: float) -> float:
        since = time_s - starts[min(max(int(np.searchsorted(starts, time_s)) - 1, 0), 99)]
        return OPEN * float(np.interp(since / length_s, [0, 1 / 3, 1 / 2, 1], [1, 0, 0, 1]))

    summary = watched(times_at(rate, 123), opening, noise=0.03).summary()
    near = [bool((np.abs(blink.start_s - starts) < 0.2).any()) for blink in summary.blinks]
    assert all(near) and not summary.long_closures
    return sum(blink.eyes == "both" for blink in summary.blinks)


@pytest.mark.parametrize(
    ("rate", "expected"), [(15, (65, 98, 100)), (20, (89, 100, 100)), (30, (100, 100, 100)), (60, (100, 100, 100))]
)
def test_short_blinks_need_frames(rate: float, expected: tuple[int, int, int]) -> None:
    """The table of docs/video.md: blinks of 100, 150 and 200 ms."""
    found = [found_of_100(rate, length_s) for length_s in (0.1, 0.15, 0.2)]
    assert found == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("opened", [0.28, 0.45, 0.8])
def test_the_open_eye_is_the_persons_own(opened: float) -> None:
    """An opening of 0.28 is half closed for one person, and open for another."""
    summary = watched(times_at(30, 55), shut_at(*BLINKS, opened=opened), noise=0.01).summary()
    check(summary.blinks, BLINKS, 0.03)


def test_frames_at_a_varying_rate_and_dropped_ones() -> None:
    chance = np.random.default_rng(1)
    times = np.cumsum(chance.uniform(0.01, 0.045, 2000))
    times = times[chance.random(len(times)) > 0.15]
    blinks = [(start, end + 0.05) for start, end in BLINKS]
    check(watched(times, shut_at(*blinks), noise=0.02).summary().blinks, blinks, 0.05)


def test_each_eye_alone() -> None:
    right, left = shut_at((1, 1.2), (3, 3.25)), shut_at((2, 2.3), (3.04, 3.2))
    blinks = watched(times_at(60, 5), right, left, RAW).summary().blinks
    assert [blink.eyes for blink in blinks] == ["right", "left", "both"]
    check(blinks, [(1, 1.2), (2, 2.3), (3, 3.25)], 0.005)


def test_an_eye_that_stays_shut_does_not_hide_the_other() -> None:
    """The right one is shut for three seconds, and the left one blinks in between."""
    summary = watched(times_at(60, 6), shut_at((1, 4)), shut_at((2, 2.2)), RAW).summary()
    assert [closure.eyes for closure in summary.long_closures] == ["right"]
    assert [blink.eyes for blink in summary.blinks] == ["left"]
    # Closed for PERCLOS only while both are.
    assert 0.1 / 6 < summary.perclos < 0.2 / 6


def test_half_a_closure_is_none() -> None:
    def narrowed(time_s: float) -> float:
        return OPEN * (0.4 if 2 < time_s < 2.3 else 1)

    summary = watched(times_at(30, 5), narrowed, limits=RAW).summary()
    assert summary.blinks == [] and summary.perclos == 0


@pytest.mark.parametrize(("length_s", "long"), [(0.45, False), (0.55, True), (4.0, True)])
def test_long_closures_are_no_blinks(length_s: float, long: bool) -> None:
    summary = watched(times_at(60, 20), shut_at((10, 10 + length_s)), limits=RAW).summary()
    check(summary.long_closures if long else summary.blinks, [(10, 10 + length_s)], 0.005)
    assert not (summary.blinks if long else summary.long_closures)


def test_perclos_slides() -> None:
    # Shut from 100 to 130: in the window of a minute, half of it at 130, nothing from 190 on.
    limits = EyeLimits(smoothing_s=0)
    watch, values = EyeWatch(limits), {}
    opening = shut_at((100, 130), closes_s=1e-6)
    for time in times_at(20, 240):
        values[round(float(time), 2)] = watch.add(float(time), opening(time), opening(time)).perclos
    assert values[0.0] is None and values[99.0] == 0
    assert values[115.0] == pytest.approx(15 / 60, abs=2e-3)
    assert values[130.0] == pytest.approx(30 / 60, abs=2e-3)
    assert values[160.0] == pytest.approx(30 / 60, abs=2e-3)
    assert values[175.0] == pytest.approx(15 / 60, abs=2e-3)
    assert values[191.0] == 0
    summary = watch.summary()
    assert summary.perclos == pytest.approx(30 / 240, abs=1e-3)
    assert summary.perclos_highest == pytest.approx(0.5, abs=2e-3)


def test_a_short_recording_has_no_highest_window() -> None:
    assert watched(times_at(30, 29), lambda t: OPEN).summary().perclos_highest is None
    assert watched(times_at(30, 31), lambda t: OPEN).summary().perclos_highest == 0


def test_time_without_the_face_is_unknown() -> None:
    times = [time for time in times_at(50, 10) if not 4 < time < 7]
    watch = watched(times, shut_at((1, 1.2), (8, 8.2)), limits=RAW)
    summary = watch.summary()
    check(summary.blinks, [(1, 1.2), (8, 8.2)], 0.005)
    assert summary.unknown_s == pytest.approx(3) and summary.known_s == pytest.approx(7)
    assert summary.blinks_per_min == pytest.approx(2 * 60 / 7)


def test_closed_eyes_that_go_or_come_are_no_blinks() -> None:
    """Whether a closure was short is not known if its start or its end was not seen."""
    opening = shut_at((2.0, 3.0), (6.0, 6.3))
    times = [time for time in times_at(50, 10) if not (2.3 < time < 5 or 6.1 < time < 8)]
    summary = watched(times, opening, limits=RAW).summary()
    assert summary.blinks == [] and summary.long_closures == []
    # A long one is known to be long even so.
    times = [time for time in times_at(50, 10) if not 2.8 < time < 5]
    (closure,) = watched(times, shut_at((2.0, 4.0)), limits=RAW).summary().long_closures
    assert not closure.whole and closure.end_s == pytest.approx(2.8)
    # One that goes on at the end, too.
    (closure,) = watched(times_at(50, 5), shut_at((4.0, 9.0)), limits=RAW).summary().long_closures
    assert not closure.whole and closure.end_s == 5


def test_unknown_openings_are_neither_open_nor_closed() -> None:
    watch = EyeWatch(RAW)
    for time in times_at(50, 4):
        known = not 1 < time < 2
        state = watch.add(float(time), OPEN if known else math.nan, OPEN if known else math.nan)
        assert (state.closed is None) == (state.right is None) == (not known)
    summary = watch.summary()
    # From the last known frame to the next.
    assert summary.unknown_s == pytest.approx(1.0) and summary.known_s == pytest.approx(3.0)
    assert summary.blinks == [] and summary.perclos == 0


def test_eyes_that_were_never_seen() -> None:
    watch = EyeWatch()
    for time in times_at(30, 2):
        watch.add(float(time), math.nan, math.nan)
    summary = watch.summary()
    assert (summary.perclos, summary.frames_per_s, summary.blinks_per_min, summary.open_left) == (None,) * 4
    assert summary.unknown_s == pytest.approx(2) and not summary.is_slow
    assert summary.to_dict()["perclos"] is None


def test_eyes_shut_from_the_start_are_closed() -> None:
    summary = watched(times_at(30, 10), shut_at((-1, 5)), limits=RAW).summary()
    assert summary.perclos == pytest.approx(0.5, abs=0.02)
    # Until they open, an open eye is taken to be a narrow one.
    check(summary.long_closures, [(0, 5)], 0.04)


def test_the_open_eye_outlives_a_long_sleep() -> None:
    """Shut for four of the five minutes from which the open eye is estimated."""
    summary = watched(times_at(10, 300), shut_at((60, 300)), limits=RAW).summary()
    assert summary.open_right == pytest.approx(OPEN, rel=0.01)
    assert summary.perclos == pytest.approx(240 / 300, abs=0.01)


def test_smoothing_has_its_own_time_scale() -> None:
    """A step is followed to 1 − 1/e within the time constant, at any frame rate."""
    for rate in (50, 500):
        watch = EyeWatch(EyeLimits(smoothing_s=0.1, level_s=1000))
        for time in np.arange(-rate, 0) / rate:
            watch.add(float(time), OPEN, OPEN)
        for time in np.arange(round(0.1 * rate)) / rate:
            state = watch.add(float(time), 0.0, 0.0)
        assert state.right == pytest.approx(1 / math.e, rel=1e-6)


def test_what_is_released_comes_back() -> None:
    watch = watched(times_at(30, 3), lambda t: OPEN)
    watch.release()
    assert watch.add(400.0, 0.4, 0.4).right == 1.0


@pytest.mark.parametrize("time_s", [0.9, math.nan, math.inf])
def test_times_out_of_order_are_refused(time_s: float) -> None:
    watch = EyeWatch()
    first = watch.add(1.0, 0.5, 0.5)
    assert watch.add(1.0, 0.1, 0.1) == first
    with pytest.raises(ValueError, match="expected times in order"):
        watch.add(time_s, 0.5, 0.5)


@pytest.mark.parametrize(
    "settings", [{"closed": 0.6}, {"half": 1.0}, {"reached": 0.0}, {"window_s": 0.0}, {"blink_s": math.nan}]
)
def test_limits_out_of_bounds_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected"):
        EyeLimits(**settings)


def test_a_summary_needs_a_time() -> None:
    with pytest.raises(ValueError, match="expected at least one"):
        EyeWatch().summary()


@given(
    st.lists(st.tuples(st.floats(0.001, 2), st.floats(-0.5, 1.5) | st.just(math.nan), st.floats(-0.5, 1.5)), min_size=1)
)
def test_anything_adds_up(steps: list[tuple[float, float, float]]) -> None:
    watch, time_s = EyeWatch(EyeLimits(window_s=3)), 0.0
    for step_s, right, left in steps:
        time_s += step_s
        state = watch.add(time_s, right, left)
        assert state.perclos is None or 0 <= state.perclos <= 1
    summary: EyeSummary = watch.summary()
    assert summary.known_s + summary.unknown_s == pytest.approx(summary.last_s - summary.first_s)
    for closure in summary.blinks + summary.long_closures:
        assert summary.first_s <= closure.start_s <= closure.end_s <= summary.last_s
