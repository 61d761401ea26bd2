"""What PyInstaller needs to know to freeze a program that uses jvcr. It finds this by the package's entry point."""

from __future__ import annotations

from pathlib import Path


def get_hook_dirs() -> list[str]:
    """Folders with hooks."""
    return [str(Path(__file__).parent)]
