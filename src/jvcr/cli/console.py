"""What every verb says and how: logs and errors to stderr, and the extras that some verbs need."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

log = Console(stderr=True)


def fail(message: str) -> None:
    """Report an error; the caller decides the exit code."""
    log.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True, highlight=False)


def need_extra(extra: str, error: ImportError) -> ImportError:
    """The error to raise when a package of an optional extra is missing."""
    return ImportError(f'this command needs {error.name}: pip install "jvcr[{extra}]"')
