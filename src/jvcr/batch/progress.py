"""Progress of a run: a bar on a terminal, and a line a minute in a log."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from jvcr.batch.events import Event, EventKind
from jvcr.batch.job import Tally
from jvcr.batch.shard import Counts
from jvcr.batch.store import Store

_EVERY_S, _RECENT_S = 60.0, 300.0
"""Between two lines of the log; and the time over which the speed is averaged."""


class Watch:
    """Counts photos as they are reported; those of a shard that is lost are taken back.

    Args:
        before: what earlier runs have done.
    """

    def __init__(self, before: Tally, now: Callable[[], float] = time.monotonic) -> None:
        self._total = before.plan.photos
        self.done, self.aside, self.deaths = before.done, before.aside, 0
        self._in_hand: dict[int, Counts] = {}
        self._now = now
        self._recent: deque[tuple[float, int]] = deque([(now(), self.done.photos)])

    def __call__(self, event: Event) -> None:
        """Count an event."""
        if event.kind is EventKind.PHOTO:
            self._in_hand[event.shard] = self._in_hand.get(event.shard, Counts()).plus(event.counts)
        else:
            self._in_hand.pop(event.shard, None)
        if event.kind is EventKind.DONE:
            self.done = self.done.plus(event.counts)
        self.deaths += event.kind in (EventKind.DEATH, EventKind.ASIDE)
        self.aside += event.kind is EventKind.ASIDE
        now = self._now()
        if now - self._recent[-1][0] >= 1:
            self._recent.append((now, self.counts.photos))
            while now - self._recent[0][0] > _RECENT_S:
                self._recent.popleft()

    @property
    def counts(self) -> Counts:
        """Photos, faces and errors, those of shards in hand included."""
        counts = self.done
        for part in self._in_hand.values():
            counts = counts.plus(part)
        return counts

    @property
    def photos_per_s(self) -> float:
        """Over the last minutes."""
        then, photos = self._recent[0]
        return max(0.0, (self.counts.photos - photos) / max(self._now() - then, 1e-3))

    def line(self) -> str:
        """Where the run stands, in one line."""
        counts, speed = self.counts, self.photos_per_s
        left = (self._total - counts.photos) / speed if speed else float("inf")
        text = (
            f"{counts.photos:,} of {self._total:,} photos, {counts.faces:,} faces, {counts.errors:,} errors, "
            f"{speed:.1f} photos/s, {duration(left)} left"
        )
        return text + (f", {self.aside} shards set aside" if self.aside else "")


def duration(seconds: float) -> str:
    """A time to read: ``"3 h 20 min"``."""
    if seconds == float("inf"):
        return "unknown time"
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{int(hours)} h {int(60 * (hours % 1))} min" if hours < 48 else f"{hours / 24:.1f} days"


@contextlib.contextmanager
def shown(watch: Watch, store: Store, console: Console) -> Iterator[Callable[[Event], None]]:
    """Show progress: a bar on a terminal; a line a minute elsewhere. ``run.log`` in a folder of results gets the lines,
    and what happened to shards."""
    log = None
    if store.folder is not None:
        store.folder.mkdir(parents=True, exist_ok=True)
        log = (store.folder / "run.log").open("a", encoding="utf-8", errors="backslashreplace")
    bar = Progress(TextColumn("{task.description}"), BarColumn(), console=console, disable=not console.is_terminal)
    task: TaskID = bar.add_task("", total=watch._total)
    last = [time.monotonic(), 0.0]

    def write(text: str, *, show: bool = True) -> None:
        if log is not None:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")
            log.flush()
        if show:
            console.print(text, highlight=False, markup=False)

    def told(event: Event) -> None:
        watch(event)
        now = time.monotonic()
        if event.kind is EventKind.DEATH:
            write(f"shard {event.shard}: {event.text}; it is computed again")
        elif event.kind is EventKind.ASIDE:
            write(f"shard {event.shard}: set aside: {event.text}")
        elif event.kind is EventKind.DONE and log is not None:
            write(f"shard {event.shard}: done, {_counts(event.counts)}", show=False)
        if now - last[0] >= _EVERY_S:
            last[0] = now
            write(watch.line(), show=not console.is_terminal)
        if console.is_terminal and now - last[1] >= 0.5:
            last[1] = now
            bar.update(task, completed=watch.counts.photos, description=watch.line())

    with contextlib.ExitStack() as stack:
        if log is not None:
            stack.enter_context(log)
        stack.enter_context(bar)
        write(f"start: {watch.line()}", show=False)
        try:
            yield told
        finally:
            bar.update(task, completed=watch.counts.photos, description=watch.line())
            write(f"end: {watch.line()}", show=False)


def _counts(counts: Counts) -> str:
    return f"{counts.photos} photos, {counts.faces} faces, {counts.errors} errors"
