"""``jvcr batch run`` with a journal of what happens to each photo: python counted.py JOURNAL ARGUMENT...

It ends when the process that started it is gone, so that an interrupted benchmark leaves nothing running.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any


def end_with(parent: int) -> None:
    """End this process when its parent is gone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def main() -> None:
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    # The workers, which import this file again, need none of this.
    from batch_proof.journal import Journal
    from jvcr.cli.app import main as jvcr

    # Not the function of this name, which the package holds.
    command: Any = importlib.import_module("jvcr.cli.batch.run")
    journal = Journal(Path(sys.argv[1]))
    run_job = command.run_job

    def counted(out: str, notify: Any, **options: Any) -> Any:
        def told(event: Any) -> None:
            journal.add(str(event.kind), shard=event.shard, photos=event.counts.photos)
            notify(event)

        return run_job(out, told, **options)

    command.run_job = counted
    sys.argv = ["jvcr", "batch", "run", *sys.argv[2:]]
    jvcr()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
