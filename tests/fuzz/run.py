"""A long round of fuzzing, by hand.

    python tests/fuzz/run.py images --count 1000000
    python tests/fuzz/run.py all --seconds 600 --seed 7 --keep fuzz-faults

Inputs that raise something undocumented, or take too long, are written to --keep. Number k of a seed is always the same
input, so a round can be continued with --first. Prints a row for each target; exit code 1 if there were faults.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
import tempfile
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from fuzz_targets import TARGETS, Target


@dataclass
class Round:
    """What became of the inputs: accepted, refused by type of error, and faults."""

    inputs: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    def row(self, name: str) -> str:
        """A row of the table."""
        errors = ", ".join(f"{count:,} {kind}" for kind, count in self.refused.most_common()) or "none"
        return (
            f"| {name} | {self.inputs:,} | {self.accepted:,} | {errors} | {1000 * self.slowest_s:.0f} | "
            f"{len(self.faults)} |"
        )


def fuzz(
    target: Target, count: int, seed: int, first: int = 0, seconds: float = 1e9, keep: Path | None = None
) -> Round:
    """Read ``count`` damaged files, or as many as ``seconds`` allow."""
    done = Round()
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as temporary:
        folder = Path(temporary)
        for number, data in enumerate(itertools.islice(target.inputs(seed, first), count), first):
            if time.monotonic() > end:
                break
            started = time.monotonic()
            fault = ""
            try:
                target.read(data, folder)
                done.accepted += 1
            except target.documented as error:
                done.refused[type(error).__name__] += 1
                # A ValueError by descent, but no message for a user.
                fault = f"{type(error).__name__}: {error}" if isinstance(error, UnicodeError) else ""
            except Exception as error:  # exactly what is looked for
                fault = f"{type(error).__name__}: {error}"
            took = time.monotonic() - started
            done.slowest_s = max(done.slowest_s, took)
            done.inputs += 1
            if took > target.slowest_s:
                fault = fault or f"took {took:.1f} s"
            if fault:
                done.faults.append(f"{target.name}, seed {seed}, input {number}: {fault}")
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{target.name}-{seed}-{number}").write_bytes(data)
    return done


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=["all", *TARGETS])
    parser.add_argument("--count", type=int, default=10**9, help="inputs of each target")
    parser.add_argument("--seconds", type=float, default=1e9, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-faults"), help="folder for inputs that are faults")
    wishes = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    print("| target | inputs | accepted | refused | slowest, ms | faults |")
    print("|---|---|---|---|---|---|")
    faults = []
    for name in TARGETS if wishes.target == "all" else [wishes.target]:
        done = fuzz(TARGETS[name](), wishes.count, wishes.seed, wishes.first, wishes.seconds, wishes.keep)
        print(done.row(name), flush=True)
        faults += done.faults
    print(*faults[:50], sep="\n", file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
