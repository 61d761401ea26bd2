"""Runs a batch in a process group of its own, measures its memory, and kills it or its workers (Linux)."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from batch_proof.journal import RUN, WORKER, Journal

_SAMPLE_S = 0.25
_COUNTED = Path(__file__).with_name("counted.py")


@dataclass(frozen=True)
class Kills:
    """Kills whose distances are exponentially distributed, so that they hit every phase of a run.

    Args:
        mean_s: between two of them. most: no more than these. seed: all times and victims follow from it.
    """

    mean_s: float
    most: int
    seed: str

    def next(self, number: int) -> tuple[float, str, float]:
        """Seconds until kill ``number``, whether it hits the run or a worker, and which worker (0 to 1)."""
        rng = random.Random(f"{self.seed}/{number}")
        return rng.expovariate(1 / self.mean_s), rng.choice((RUN, WORKER)), rng.random()


def run_watched(arguments: list[str], journal: Journal, kills: Kills | None, say: Callable[[str, int], None]) -> None:
    """Run ``jvcr batch run`` with these arguments to its end, starting it again after each kill.

    Args:
        say: is told of each kill: what it hit, and its number.
    Raises:
        SystemExit: the run failed by itself.
    """
    number = sum(line["event"] == "kill" for line in journal.events())
    retry: list[str] = []
    while True:
        journal.add("start")
        process = subprocess.Popen(
            [sys.executable, str(_COUNTED), str(journal.path), *arguments, *retry], start_new_session=True
        )
        while kills is not None and number < kills.most:
            wait_s, what, which = kills.next(number)
            if _watch(process, journal, wait_s):
                break
            what = _kill(process, journal, what, which)
            say(what, number)
            number += 1
            if what == RUN:
                break
        else:
            _watch(process, journal, None)
        if process.returncode == -signal.SIGKILL:
            continue
        journal.add("end", code=process.returncode)
        if process.returncode == 0:
            return
        if retry or kills is None:
            raise SystemExit(f"{' '.join(arguments)}: exit code {process.returncode}")
        # Two kills may have hit the same shard, which is then set aside.
        retry = ["--retry"]


def _watch(process: subprocess.Popen[bytes], journal: Journal, seconds: float | None) -> bool:
    """Record the memory, for so long or until the end. Returns whether it has ended."""
    until = None if seconds is None else time.monotonic() + seconds
    peak_mb = 0.0
    while process.poll() is None:
        left_s = _SAMPLE_S if until is None else min(_SAMPLE_S, until - time.monotonic())
        if left_s <= 0:
            return False
        memory_mb = [resident_mb(pid) for pid in members(process.pid)]
        if sum(memory_mb) > peak_mb + 1:
            peak_mb = sum(memory_mb)
            journal.add("memory", all_mb=round(peak_mb, 1), largest_mb=round(max(memory_mb), 1))
        time.sleep(left_s)
    return True


def _kill(process: subprocess.Popen[bytes], journal: Journal, what: str, which: float) -> str:
    """Kill the whole group, or one worker. Returns what was killed."""
    workers = [pid for pid in members(process.pid) if is_worker(pid)]
    if what == WORKER and workers:
        # First the line: the run reports the death at once.
        journal.add("kill", what=WORKER)
        # It may just have ended by itself.
        with contextlib.suppress(ProcessLookupError):
            os.kill(workers[int(which * len(workers))], signal.SIGKILL)
        return WORKER
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    while any(True for _ in members(process.pid)):
        time.sleep(0.01)
    journal.add("kill", what=RUN)
    return RUN


def members(group: int) -> Iterator[int]:
    """The processes of a group that have not ended."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, _, of_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(of_group) == group and state not in "ZX":
                yield int(entry.name)


def is_worker(pid: int) -> bool:
    """Whether a process computes shards. Another one only cleans up after the others."""
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def resident_mb(pid: int) -> float:
    """Memory of a process (RSS); 0 if it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
