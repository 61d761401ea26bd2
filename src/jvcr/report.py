"""Text tables for the terminal and for Markdown."""

from __future__ import annotations

from dataclasses import dataclass

NONE = "–"
"""Table entry for a missing number."""


@dataclass(frozen=True)
class Table:
    """A table of text: title, header, rows, and notes below. If there are no rows, the notes say why."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()

    def to_text(self) -> str:
        """Columns of equal width, for a terminal."""
        if not self.rows:
            return "\n".join([self.title, *self.notes])
        lines = [self.header, *self.rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.header))]
        body = ["  ".join(text.ljust(w) for text, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([self.title, *body, *self.notes])

    def to_markdown(self) -> str:
        """The table as Markdown, under a heading."""
        lines = [self.header, tuple("---" for _ in self.header), *self.rows] if self.rows else []
        body = ["| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines]
        return "\n".join([f"### {self.title}", "", *body, *(f"\n{note}" for note in self.notes)])


def percent(ratio: float) -> str:
    """A ratio in percent with two decimals; a dash for NaN."""
    return NONE if ratio != ratio else f"{100 * ratio:.2f}"
