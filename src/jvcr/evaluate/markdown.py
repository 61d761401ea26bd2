"""The report as Markdown."""

from __future__ import annotations

from jvcr.evaluate.evaluation import Evaluation
from jvcr.evaluate.tables import all_tables


def to_markdown(evaluation: Evaluation, worst: int = 20) -> str:
    """All tables, and the names of the worst faces of the first system."""
    parts = ["# AFLW2000-3D", "\n".join(f"- {line}" for line in evaluation.introduction)]
    parts += [table.to_markdown() for table in all_tables(evaluation.scores, evaluation.common)]
    first = evaluation.scores[0].system
    names = ", ".join(f"{name} ({100 * error:.1f})" for name, error in evaluation.worst(worst))
    parts.append(f"### Worst faces of {first.name}, {first.boxes} (NME in percent, original labels)\n\n{names}")
    return "\n\n".join(parts) + "\n"
