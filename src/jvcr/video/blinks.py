"""Blinks, long closures and PERCLOS of one face, from the openings of its eyes over time.

Only numbers come in: times and openings. An opening is 0 for a closed eye (``jvcr.expression.Expression``). Here it is
divided by the person's own open eye, because people differ: 0 is closed, 1 is this person's eye when it is open.
Definitions, sources and limits: docs/video.md.
"""

from __future__ import annotations

import bisect
import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

Eyes = Literal["both", "right", "left"]
"""The person's eyes."""

_LEVEL_QUANTILE = 0.9
"""The open eye is this quantile of an eye's recent openings."""

_LEVEL_STEP_S = 0.1
"""The open eye is estimated from openings this far apart: enough, and independent of the frame rate."""

_TOGETHER_S = 0.15
"""Closures of the two eyes that overlap and start within this time of each other are one closure of both."""

SLOW_FRAMES_PER_S = 20.0
"""With fewer frames a second, short blinks fall between two frames."""


@dataclass(frozen=True)
class EyeLimits:
    """What counts as closed, and for how long. Openings are shares of the person's own open eye.

    Attributes:
        closed: eyes open up to this share are closed for PERCLOS: 0.2 is P80, at least 80 % closed.
        half: a closure lasts from falling below this share until rising above it.
        reached: it counts if it falls to this share.
        blink_s: a closure of up to this length is a blink, a longer one a long closure.
        window_s: length of the sliding window of PERCLOS.
        smoothing_s: time constant of the low-pass filter of the openings; 0 turns it off.
        gap_s: without an opening for longer than this, the time in between is unknown.
        level_s: the open eye is estimated from this much time.
        narrowest: smallest opening that can be an open eye.
    Raises:
        ValueError: shares are not in order between 0 and 1, or a time is not positive.
    """

    closed: float = 0.2
    half: float = 0.5
    reached: float = 0.3
    blink_s: float = 0.5
    window_s: float = 60.0
    smoothing_s: float = 0.02
    gap_s: float = 0.25
    level_s: float = 300.0
    narrowest: float = 0.25

    def __post_init__(self) -> None:
        if not (0 < self.closed < self.half < 1 and 0 < self.reached < self.half):
            raise ValueError(
                f"closed is {self.closed}, reached {self.reached}, half {self.half}; expected closed and reached "
                "between 0 and half, and half below 1"
            )
        positive = (self.blink_s, self.window_s, self.gap_s, self.level_s, self.narrowest)
        if not (all(0 < value < math.inf for value in positive) and 0 <= self.smoothing_s < math.inf):
            raise ValueError(f"{self}: expected times and narrowest above 0, and smoothing_s of 0 or more")


class EyeState(NamedTuple):
    """The eyes at one time. right, left: smoothed opening as a share of the person's own open eye; None if unknown.
    closed: whether they are closed for PERCLOS (the mean of the two); None if unknown. perclos: share of the known time
    in the window that ends now; None if none of it is known."""

    right: float | None
    left: float | None
    closed: bool | None
    perclos: float | None

    def to_dict(self) -> dict[str, float | bool | None]:
        """The values by name, to a thousandth."""
        return {
            "right": _rounded(self.right),
            "left": _rounded(self.left),
            "closed": self.closed,
            "perclos": _rounded(self.perclos),
        }


class Closure(NamedTuple):
    """Eyes that were closed once. start_s, end_s: when the opening crossed ``EyeLimits.half``. whole: whether both were
    seen; otherwise the closure lasted at least this long."""

    start_s: float
    end_s: float
    eyes: Eyes
    whole: bool

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s

    def to_dict(self) -> dict[str, float | str | bool]:
        """The values by name, times to a millisecond."""
        return {
            "start_s": round(self.start_s, 3),
            "end_s": round(self.end_s, 3),
            "duration_s": round(self.duration_s, 3),
            "eyes": self.eyes,
            "whole": self.whole,
        }


@dataclass(frozen=True)
class EyeSummary:
    """A face's eyes over a whole recording.

    Attributes:
        first_s, last_s: first and last time of the face.
        known_s, unknown_s: how much of the time in between its eyes were known, and were not.
        frames_per_s: of the known time; None if there is none.
        open_right, open_left: the open eye at the end, on the scale of ``Expression``; None if never known.
        perclos: share of the known time in which the eyes were closed; None if there is none.
        perclos_highest: of the windows of which at least half was known; None if there is none.
        blinks: closures of up to ``EyeLimits.blink_s``, in order. Those that were not seen whole are left out.
        long_closures: longer ones, in order.
    """

    first_s: float
    last_s: float
    known_s: float
    unknown_s: float
    frames_per_s: float | None
    open_right: float | None
    open_left: float | None
    perclos: float | None
    perclos_highest: float | None
    blinks: list[Closure]
    long_closures: list[Closure]

    @property
    def blinks_per_min(self) -> float | None:
        """Blinks of both eyes per minute of known time; None if there is none."""
        both = sum(blink.eyes == "both" for blink in self.blinks)
        return 60 * both / self.known_s if self.known_s > 0 else None

    @property
    def is_slow(self) -> bool:
        """Whether there were too few frames a second to see every blink (``SLOW_FRAMES_PER_S``)."""
        return self.frames_per_s is not None and self.frames_per_s < SLOW_FRAMES_PER_S

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, as in the file of ``jvcr video --eyes``."""
        values = {name: _rounded(value) for name, value in vars(self).items() if not isinstance(value, list)}
        return values | {
            "blinks_per_min": _rounded(self.blinks_per_min),
            "blinks": [blink.to_dict() for blink in self.blinks],
            "long_closures": [closure.to_dict() for closure in self.long_closures],
        }


class EyeWatch:
    """Follows the eyes of one face.

    Example::

        watch = EyeWatch()
        for time_s, right, left in openings:
            state = watch.add(time_s, right, left)
        print(watch.summary().blinks_per_min)
    """

    def __init__(self, limits: EyeLimits | None = None) -> None:
        self._limits = limits or EyeLimits()
        self._right, self._left = _Eye(self._limits), _Eye(self._limits)
        self._perclos = _Perclos(self._limits.window_s)
        self._first_s: float | None = None
        self._last_s = -math.inf
        self._known: bool | None = None
        self._was_closed = False
        self._steps = 0
        self._unknown_s = 0.0
        self._state = EyeState(None, None, None, None)

    def add(self, time_s: float, right: float, left: float) -> EyeState:
        """The state at the next time. A time that is the last one again changes nothing.

        Args:
            time_s: seconds. right, left: opening of the person's eyes; NaN for both if they are unknown.
        Raises:
            ValueError: the time is earlier than the last one, or not finite.
        """
        if not math.isfinite(time_s) or time_s < self._last_s:
            raise ValueError(f"the time is {time_s} s after {self._last_s} s; expected times in order")
        if time_s == self._last_s:
            return self._state
        step_s = time_s - self._last_s
        known = math.isfinite(right) and math.isfinite(left)
        goes_on = bool(self._known) and known and step_s <= self._limits.gap_s
        if not goes_on:
            self._right.cut()
            self._left.cut()
        shares = (self._right.add(time_s, right), self._left.add(time_s, left)) if known else None
        closed = sum(shares) / 2 <= self._limits.closed if shares else None
        if self._first_s is None:
            self._first_s = time_s
        elif goes_on:
            # The state changes somewhere between two frames: half of the time counts for each.
            self._perclos.add(time_s, step_s, step_s * (self._was_closed + bool(closed)) / 2)
            self._steps += 1
        else:
            self._unknown_s += step_s
        self._last_s, self._known, self._was_closed = time_s, known, bool(closed)
        now = shares or (None, None)
        self._state = EyeState(now[0], now[1], closed, self._perclos.at(time_s))
        return self._state

    def closures(self) -> list[Closure]:
        """All closures up to now, in order, including one that goes on."""
        return _closures(self._right.dips(), self._left.dips(), self._limits.reached)

    def summary(self) -> EyeSummary:
        """What was seen up to now.

        Raises:
            ValueError: nothing was added.
        """
        if self._first_s is None:
            raise ValueError("no opening was added; expected at least one")
        closures, limit_s, perclos = self.closures(), self._limits.blink_s, self._perclos
        return EyeSummary(
            first_s=self._first_s,
            last_s=self._last_s,
            known_s=perclos.known_s,
            unknown_s=self._unknown_s,
            frames_per_s=self._steps / perclos.known_s if self._steps else None,
            open_right=self._right.level.value,
            open_left=self._left.level.value,
            perclos=perclos.closed_s / perclos.known_s if perclos.known_s > 0 else None,
            perclos_highest=perclos.highest,
            blinks=[closure for closure in closures if closure.whole and closure.duration_s <= limit_s],
            long_closures=[closure for closure in closures if closure.duration_s > limit_s],
        )

    def release(self) -> None:
        """Free the memory of the open eyes, for a face that was not seen for ``EyeLimits.level_s``."""
        self._right.level.clear()
        self._left.level.clear()


class _Dip(NamedTuple):
    """One eye below one half: from when to when, how far down, and whether start and end were seen."""

    start_s: float
    end_s: float
    lowest: float
    whole: bool


def _closures(right: Sequence[_Dip], left: Sequence[_Dip], reached: float) -> list[Closure]:
    """The closures of a face from the dips of its two eyes, all in order.

    Dips that overlap and start within 150 ms of each other are one closure of both eyes, from the first start to the
    last end. It is enough that one of the eyes falls to ``reached``.
    """
    found: list[Closure] = []
    r = s = 0
    while r < len(right) or s < len(left):
        ours = right[r] if r < len(right) else None
        theirs = left[s] if s < len(left) else None
        eyes: Eyes
        if ours and theirs and _together(ours, theirs):
            eyes, dips = "both", [ours, theirs]
        elif ours and (not theirs or ours.start_s <= theirs.start_s):
            eyes, dips = "right", [ours]
        else:
            eyes, dips = "left", [theirs] if theirs else []
        r, s = r + (eyes != "left"), s + (eyes != "right")
        if min(dip.lowest for dip in dips) <= reached:
            start_s, end_s = min(dip.start_s for dip in dips), max(dip.end_s for dip in dips)
            found.append(Closure(start_s, end_s, eyes, all(dip.whole for dip in dips)))
    return found


def _together(first: _Dip, second: _Dip) -> bool:
    overlap_s = min(first.end_s, second.end_s) - max(first.start_s, second.start_s)
    return overlap_s > 0 and abs(first.start_s - second.start_s) <= _TOGETHER_S


class _Eye:
    """Smoothed opening, open level and dips of one eye."""

    def __init__(self, limits: EyeLimits) -> None:
        self._limits = limits
        self.level = _OpenLevel(limits.level_s, limits.narrowest)
        self._lid = _Lid(limits.half)
        self._smoothed: float | None = None
        self._time_s = 0.0

    def add(self, time_s: float, opening: float) -> float:
        """The smoothed opening as a share of the open eye."""
        step_s, tau_s = time_s - self._time_s, self._limits.smoothing_s
        weight = 1.0 if self._smoothed is None or tau_s == 0 else -math.expm1(-step_s / tau_s)
        before = 0.0 if self._smoothed is None else self._smoothed
        self._smoothed, self._time_s = before + weight * (opening - before), time_s
        share = self._smoothed / self.level.add(time_s, self._smoothed)
        self._lid.add(time_s, share)
        return share

    def cut(self) -> None:
        """The eye was not seen since the last time."""
        self._smoothed = None
        self._lid.cut()

    def dips(self) -> list[_Dip]:
        going_on = self._lid.going_on()
        return [*self._lid.found, going_on] if going_on else self._lid.found


class _Lid:
    """Dips of one eye, from its opening as a share of the open one."""

    def __init__(self, half: float) -> None:
        self._half = half
        self.found: list[_Dip] = []
        self._last: tuple[float, float] | None = None
        self._start_s: float | None = None
        self._start_seen = False
        self._lowest = math.inf

    def add(self, time_s: float, share: float) -> None:
        below = share < self._half
        if below and self._start_s is None:
            self._start_seen = self._last is not None
            self._start_s, self._lowest = self._crossing(time_s, share), math.inf
        if below:
            self._lowest = min(self._lowest, share)
        elif self._start_s is not None:
            end_s = self._crossing(time_s, share)
            self.found.append(_Dip(self._start_s, end_s, self._lowest, self._start_seen))
            self._start_s = None
        self._last = time_s, share

    def cut(self) -> None:
        dip = self.going_on()
        if dip is not None:
            self.found.append(dip)
        self._last = self._start_s = None

    def going_on(self) -> _Dip | None:
        if self._start_s is None or self._last is None:
            return None
        return _Dip(self._start_s, self._last[0], self._lowest, False)

    def _crossing(self, time_s: float, share: float) -> float:
        """When the opening crossed one half, on a straight line from the last time to this one."""
        if self._last is None:
            return time_s
        last_s, last = self._last
        return last_s + (time_s - last_s) * (self._half - last) / (share - last)


class _OpenLevel:
    """Running quantile of the openings of the last ``length_s``."""

    def __init__(self, length_s: float, least: float) -> None:
        self._length_s, self._least = length_s, least
        self._recent: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []
        self.value: float | None = None

    def add(self, time_s: float, opening: float) -> float:
        if not self._recent or time_s - self._recent[-1][0] >= _LEVEL_STEP_S:
            self._recent.append((time_s, opening))
            bisect.insort(self._sorted, opening)
            while self._recent[0][0] < time_s - self._length_s:
                del self._sorted[bisect.bisect_left(self._sorted, self._recent.popleft()[1])]
            quantile = self._sorted[math.floor(_LEVEL_QUANTILE * (len(self._sorted) - 1))]
            self.value = max(quantile, self._least)
        assert self.value is not None
        return self.value

    def clear(self) -> None:
        self._recent.clear()
        self._sorted.clear()


class _Perclos:
    """Closed time over known time: in a sliding window, and in all."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self._steps: deque[_Step] = deque()
        self._window = _Step(0.0, 0.0, 0.0)
        self.known_s = self.closed_s = 0.0
        self.highest: float | None = None

    def add(self, end_s: float, known_s: float, closed_s: float) -> None:
        self._steps.append(_Step(end_s, known_s, closed_s))
        self._shift(known_s, closed_s)
        self.known_s, self.closed_s = self.known_s + known_s, self.closed_s + closed_s

    def at(self, time_s: float) -> float | None:
        """In the window that ends at this time; None if nothing in it is known."""
        while self._steps and self._steps[0].end_s <= time_s - self._window_s:
            old = self._steps.popleft()
            self._shift(-old.known_s, -old.closed_s)
        if not self._steps:
            self._window = _Step(0.0, 0.0, 0.0)
            return None
        share = min(max(self._window.closed_s / self._window.known_s, 0.0), 1.0)
        if self._window.known_s >= self._window_s / 2:
            self.highest = max(self.highest or 0.0, share)
        return share

    def _shift(self, known_s: float, closed_s: float) -> None:
        window = self._window
        self._window = window._replace(known_s=window.known_s + known_s, closed_s=window.closed_s + closed_s)


class _Step(NamedTuple):
    end_s: float
    known_s: float
    closed_s: float


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
