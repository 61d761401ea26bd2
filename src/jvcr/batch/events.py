"""What engines report, and how a shard is given up."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from jvcr.batch.plan import shard_name
from jvcr.batch.shard import ASIDE, Counts
from jvcr.batch.store import Store

MOST_DEATHS = 2
"""A shard that ended so many workers is set aside."""


class EventKind(StrEnum):
    """``PHOTO``: photos of a shard in hand. ``DONE``: a shard is written. ``DEATH``: a worker was lost, its shard is
    computed again. ``ASIDE``: a shard is given up."""

    PHOTO = "photo"
    DONE = "done"
    DEATH = "death"
    ASIDE = "aside"


class Event(NamedTuple):
    """Something that happened to a shard. counts: of a photo, or of a whole shard."""

    kind: EventKind
    shard: int
    counts: Counts = Counts()
    text: str = ""


Notify = Callable[[Event], object]
"""Called in the main process. What it raises ends the run."""


class EngineError(RuntimeError):
    """The engine cannot work at all; the message says why."""


class Deaths:
    """Counts the workers that each shard ended, and sets shards aside."""

    def __init__(self, out: str, notify: Notify) -> None:
        self._store, self._notify = Store(out), notify
        self._reasons: dict[int, list[str]] = {}

    def add(self, shard: int, reason: str) -> bool:
        """Count one. Returns whether to try the shard again."""
        reasons = self._reasons.setdefault(shard, [])
        reasons.append(reason)
        if len(reasons) < MOST_DEATHS:
            self._notify(Event(EventKind.DEATH, shard, text=reason))
            return True
        mark = {"shard": shard, "reasons": reasons}
        self._store.write(f"{ASIDE}/{shard_name(shard)}.json", (json.dumps(mark) + "\n").encode())
        self._notify(Event(EventKind.ASIDE, shard, text=reason))
        return False
