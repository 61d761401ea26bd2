"""A long round of fuzzing, by hand.

    python tests/fuzz/run.py images --count 1000000
    python tests/fuzz/run.py all --seconds 600 --seed 7 --keep fuzz-faults

Prints a row for each target; the exit code is 1 if there were faults. A fault is an error that the reader does not
document, a message that does not name the file, an input that takes too long or too much memory, and a crash.

Inputs that are faults are written to --keep. Input number k of a seed is always the same, so `--first k --count 1`
repeats it. A round that was stopped, or that crashed, is continued with --resume; its counts are kept in --keep.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import itertools
import json
import logging
import mmap
import os
import signal
import struct
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from fuzz_targets import TARGETS, Target

try:
    import resource
except ModuleNotFoundError:  # Windows
    resource = None  # type: ignore[assignment]

HANG_S = 60
"""A call that does not return for so long ends the process, with a traceback."""

_SAVED_EVERY_S = 5.0
_NONE = 2**64 - 1


@dataclass
class Round:
    """What became of the inputs: accepted, refused by type of error, and faults. ``peak_mb`` is the process's."""

    inputs: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    peak_mb: float = 0.0

    def row(self, name: str) -> str:
        """A row of the table."""
        errors = ", ".join(f"{count:,} {kind}" for kind, count in self.refused.most_common()) or "none"
        return (
            f"| {name} | {self.inputs:,} | {self.accepted:,} | {errors} | {1000 * self.slowest_s:.0f} | "
            f"{self.peak_mb:.0f} | {len(self.faults)} |"
        )


class Journal:
    """Where a round stands, on disk: after a crash it names the input, and the round can be continued.

    ``TARGET-SEED.json`` has the counts of a few seconds ago. ``TARGET-SEED.now`` has the number of the input being
    read, and of the one at which the process ended before. Somebody may have killed it, so that input is read again. It
    is a fault if the process ends there a second time.
    """

    def __init__(self, folder: Path, target: Target, seed: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._counts, self._now = folder / f"{target.name}-{seed}.json", folder / f"{target.name}-{seed}.now"
        self._saved = time.monotonic()
        self._ended_at = _NONE

    def earlier(self, first: int) -> tuple[int, Round, int | None]:
        """The number to go on from, the counts before it, and the input that ended the process twice, if one did."""
        twice = None
        if self._now.exists():
            self._ended_at, before = struct.unpack("<QQ", self._now.read_bytes())
            twice = before if before == self._ended_at != _NONE else None
        if not self._counts.exists():
            return first, Round(), twice
        stored = json.loads(self._counts.read_text(encoding="utf-8"))
        done = Round(**stored["round"])
        done.refused = Counter(done.refused)
        return stored["next"], done, twice

    def start(self) -> None:
        """Begin to note numbers."""
        self._now.write_bytes(struct.pack("<QQ", _NONE, self._ended_at))
        with self._now.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 16)

    def reads(self, number: int, done: Round) -> None:
        """Input ``number`` is next."""
        # A mapped file outlives the process, and costs no system call.
        self._map[:8] = number.to_bytes(8, "little")
        if time.monotonic() - self._saved > _SAVED_EVERY_S:
            self.save(number, done)

    def save(self, following: int, done: Round) -> None:
        """Store the counts of all inputs before ``following``."""
        self._saved = time.monotonic()
        part = self._counts.with_suffix(".part")
        part.write_text(json.dumps({"next": following, "round": vars(done)}), encoding="utf-8")
        part.replace(self._counts)

    def close(self) -> None:
        """The round ended in order."""
        self._map.close()
        self._now.unlink()


_stopped = False


def fuzz(
    target: Target,
    count: int,
    seed: int,
    first: int = 0,
    seconds: float = 1e9,
    keep: Path | None = None,
    resume: bool = False,
    stderr: IO[str] | None = None,
) -> Round:
    """Read ``count`` damaged files, or as many as ``seconds`` allow.

    Args:
        keep: folder for inputs that are faults, and for the journal. resume: continue the round whose journal is there.
        stderr: where a hang is reported; the process then ends. None: hangs are not watched for.
    """
    journal = None if keep is None else Journal(keep, target, seed)
    start, done, crashed = journal.earlier(first) if journal is not None and resume else (first, Round(), None)

    def report(number: int, data: bytes, fault: str) -> None:
        done.faults.append(f"{target.name}, seed {seed}, input {number}: {fault}")
        if keep is not None:
            (keep / f"{target.name}-{seed}-{number}").write_bytes(data)

    if journal is not None:
        journal.start()
    end = time.monotonic() + seconds
    watched = 0.0
    number = start - 1
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as temporary:
        folder = Path(temporary)
        for data in target.seeds:
            # What is imported on the first call is not an input's memory.
            _outcome(target, data, folder)
        peak = peak_mb()
        for number, data in enumerate(itertools.islice(target.inputs(seed, start), count - (start - first)), start):
            started = time.monotonic()
            if started > end or _stopped:
                number -= 1
                break
            if journal is not None:
                journal.reads(number, done)
            if stderr is not None and started > watched:
                # By a thread in C, which also runs while a decoder holds the interpreter.
                faulthandler.dump_traceback_later(HANG_S, exit=True, file=stderr)
                watched = started + 1
            done.inputs += 1
            if number == crashed:
                report(number, data, "the process ended twice while it was read: a crash or a hang")
                continue
            # Of the processor: on a busy machine, waiting is no fault of the reader.
            before_s = time.process_time()
            kind, fault = _outcome(target, data, folder)
            took = time.process_time() - before_s
            if kind:
                done.refused[kind] += 1
            elif not fault:
                done.accepted += 1
            before, peak = peak, peak_mb()
            done.slowest_s = max(done.slowest_s, took)
            if took > target.slowest_s:
                fault = fault or f"took {took:.1f} s"
            if peak - before > target.most_mb:
                fault = fault or f"took {peak - before:.0f} MB"
            if fault:
                report(number, data, fault)
    done.peak_mb = max(done.peak_mb, peak)
    if stderr is not None:
        faulthandler.cancel_dump_traceback_later()
    if journal is not None:
        journal.save(number + 1, done)
        journal.close()
    return done


def _outcome(target: Target, data: bytes, folder: Path) -> tuple[str, str]:
    """The documented error's type and what is wrong with the outcome; each "" if none."""
    try:
        target.read(data, folder)
    except target.documented as error:
        kind, message = type(error).__name__, str(error)
        if isinstance(error, UnicodeError):
            # A ValueError by descent, but no message for a user.
            return kind, f"{kind}: {message}"
        if str(folder) not in message and target.label not in message:
            return kind, f"does not name the file: {kind}: {message}"
        return kind, ""
    except Exception as error:  # exactly what is looked for
        return "", f"{type(error).__name__}: {error}"
    return "", ""


def peak_mb() -> float:
    """The most memory that this process has had, 10⁶ bytes; 0 where the system does not tell."""
    if resource is None:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e6


def _stop(*_: object) -> None:
    global _stopped
    _stopped = True


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=["all", *TARGETS])
    parser.add_argument("--count", type=int, default=10**9, help="inputs of each target")
    parser.add_argument("--seconds", type=float, default=1e9, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="folder for faults and counts")
    parser.add_argument("--resume", action="store_true", help="continue the round whose counts are in --keep")
    wishes = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    print("| target | inputs | accepted | refused | slowest, ms | peak, MB | faults |")
    print("|---|---|---|---|---|---|---|")
    faults = []
    for name in TARGETS if wishes.target == "all" else [wishes.target]:
        target = TARGETS[name]()
        with _quiet_decoders() as stderr:
            done = fuzz(
                target, wishes.count, wishes.seed, wishes.first, wishes.seconds, wishes.keep, wishes.resume, stderr
            )
        print(done.row(name), flush=True)
        faults += done.faults
        if _stopped:
            break
    print(*faults[:50], sep="\n", file=sys.stderr)
    return int(bool(faults))


@contextlib.contextmanager
def _quiet_decoders() -> Iterator[IO[str]]:
    """Standard error for reports. What decoders write to it about damaged files is discarded meanwhile."""
    with os.fdopen(os.dup(2), "w") as stderr, Path(os.devnull).open("w") as nowhere:
        faulthandler.enable(file=stderr)
        os.dup2(nowhere.fileno(), 2)
        try:
            yield stderr
        finally:
            os.dup2(stderr.fileno(), 2)
            faulthandler.disable()


if __name__ == "__main__":
    sys.exit(main())
