"""Logs and errors, on stderr."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape

log = Console(stderr=True)
_errors = Console(stderr=True)


# In a file name or a decoder's message, the terminal would interpret them as commands. Line ends are kept.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) != "\n"}


def printable(text: str) -> str:
    """The text with its control characters spelt out."""
    return text.translate(_CONTROLS)


def fail(message: str) -> None:
    """Report an error; the caller decides the exit code."""
    _errors.print(f"[bold red]error:[/] {escape(printable(message))}", soft_wrap=True, highlight=False)
