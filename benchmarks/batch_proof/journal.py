"""What happened in a run, as JSON lines that survive a kill; and the figures that follow from them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RUN, WORKER = "run", "worker"


class Journal:
    """A file of events. The benchmark and the run both add to it; a line is written at once, or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def add(self, event: str, **values: Any) -> None:
        """Write a line."""
        os.write(self._file, (json.dumps({"t": round(time.time(), 3), "event": event, **values}) + "\n").encode())

    def events(self) -> list[dict[str, Any]]:
        """All lines."""
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@dataclass
class Kill:
    """A kill and its cost. at: photos that were done or in hand. twice: photos that were computed again because of it.
    until_next_s: from the kill to the next photo that was reported."""

    what: str
    at: int
    twice: int = 0
    until_next_s: float | None = None
    time: float = 0.0


@dataclass
class Life:
    """From a start to an end or a kill, in seconds since 1970."""

    start: float
    last: float
    first_photo: float | None = None
    last_photo: float = 0.0


@dataclass
class Account:
    """Follows the events of a run.

    Attributes:
        in_hand: photos that were reported, of each shard that is not done.
        owed: photos of each shard that was lost, and the kill that lost them. They were computed twice if a photo of
            the shard is reported again; otherwise its mark was written just before the kill.
        done: photos of each shard that was reported as done. done_twice: how many of them were reported again.
        memory_mb, process_mb: peaks of all processes together, and of the largest one.
    """

    kills: list[Kill] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    in_hand: dict[int, int] = field(default_factory=dict)
    owed: dict[int, tuple[Kill, int]] = field(default_factory=dict)
    done: dict[int, int] = field(default_factory=dict)
    done_twice: int = 0
    reported: int = 0
    aside: int = 0
    memory_mb: float = 0.0
    process_mb: float = 0.0

    def add(self, line: dict[str, Any]) -> None:
        """Follow one event."""
        getattr(self, f"_{line['event']}")(line)
        self.lives[-1].last = line["t"]

    def _start(self, line: dict[str, Any]) -> None:
        if self.in_hand:
            # The benchmark itself was interrupted.
            self._lose(Kill("interruption", self.progress, time=line["t"]), [*self.in_hand])
        self.lives.append(Life(line["t"], line["t"]))

    def _kill(self, line: dict[str, Any]) -> None:
        kill = Kill(line["what"], self.progress, time=line["t"])
        self.kills.append(kill)
        if kill.what == RUN:
            self._lose(kill, [*self.in_hand])

    def _photo(self, line: dict[str, Any]) -> None:
        shard, life = line["shard"], self.lives[-1]
        self.reported += line["photos"]
        if shard in self.owed:
            kill, photos = self.owed.pop(shard)
            kill.twice += photos
        self.in_hand[shard] = self.in_hand.get(shard, 0) + line["photos"]
        for kill in self.kills:
            if kill.until_next_s is None:
                kill.until_next_s = round(line["t"] - kill.time, 2)
        life.first_photo = life.first_photo or line["t"]
        life.last_photo = line["t"]

    def _done(self, line: dict[str, Any]) -> None:
        self.in_hand.pop(line["shard"], None)
        self.done_twice += line["shard"] in self.done
        self.done[line["shard"]] = line["photos"]

    def _death(self, line: dict[str, Any]) -> None:
        workers = [kill for kill in self.kills if kill.what == WORKER]
        self._lose(workers[-1] if workers else Kill("death", self.progress), [line["shard"]])

    def _aside(self, line: dict[str, Any]) -> None:
        self.aside += 1
        self._death(line)

    def _memory(self, line: dict[str, Any]) -> None:
        self.memory_mb = max(self.memory_mb, line["all_mb"])
        self.process_mb = max(self.process_mb, line["largest_mb"])

    def _end(self, line: dict[str, Any]) -> None:
        pass

    def _lose(self, kill: Kill, shards: list[int]) -> None:
        self.owed |= {shard: (kill, self.in_hand.pop(shard)) for shard in shards if shard in self.in_hand}

    @property
    def progress(self) -> int:
        """Photos that are done or in hand."""
        return sum(self.done.values()) + sum(self.in_hand.values())


def follow(events: Iterable[dict[str, Any]]) -> Account:
    """The account of a run."""
    account = Account()
    for line in events:
        account.add(line)
    return account


def figures(account: Account, photos: int) -> dict[str, Any]:
    """What a run of ``photos`` photos took. Waiting between two lives is not counted."""
    seconds = sum(life.last - life.start for life in account.lives)
    working = [life for life in account.lives if life.first_photo is not None]
    at_work_s = sum(life.last_photo - life.first_photo for life in working if life.first_photo is not None)
    starts = [life.first_photo - life.start for life in working if life.first_photo is not None]
    return {
        "seconds": round(seconds, 1),
        "photos/s": round(photos / max(seconds, 1e-3), 2),
        "photos/s, starts left out": round(account.reported / max(at_work_s, 1e-3), 2),
        "seconds from a start to its first photo, mean": round(sum(starts) / max(len(starts), 1), 2),
        "memory of all processes together, peak RSS, MB": round(account.memory_mb),
        "memory of the largest process, peak RSS, MB": round(account.process_mb),
        "photos reported": account.reported,
        "finished shards that were computed again": account.done_twice,
    }
