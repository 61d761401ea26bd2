"""How every verb speaks: logs and errors to stderr."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

log = Console(stderr=True)
_errors = Console(stderr=True)


def fail(message: str) -> None:
    """Report an error; the caller decides the exit code."""
    _errors.print(f"[bold red]error:[/] {escape(message)}", soft_wrap=True, highlight=False)
