"""NME by yaw and GTE on the validation rows of a training table, as training itself measures them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jvcr.data.derive import boxed_samples, converted_points
from jvcr.data.table import Table as TrainingTable
from jvcr.evaluate.benchmark import BINS, BenchmarkReport, Progress, counted, no_progress, without_nan
from jvcr.evaluate.errors import LandmarkErrors, landmark_errors
from jvcr.evaluate.run_network import predict_samples
from jvcr.evaluate.systems import DEFAULT_EXECUTION, Execution, Looks, Weights, chosen_weights, open_networks
from jvcr.markups.markup import Markup
from jvcr.report import NONE, Table, percent
from jvcr.runtime.base import Runtime


@dataclass(frozen=True)
class RowErrors:
    """Errors of one network, and the markup of the landmarks that were scored."""

    markup: Markup
    errors: LandmarkErrors


@dataclass(frozen=True, eq=False)
class TableReport(BenchmarkReport):
    """Errors by name of the network."""

    networks: Mapping[str, RowErrors]

    @property
    def named(self) -> dict[str, RowErrors]:
        """By display name. It includes the network's name only if there are several networks."""
        one = len(self.networks) == 1
        return {"validation rows" if one else f"validation rows, {name}": row for name, row in self.networks.items()}

    def tables(self) -> list[Table]:
        """One table, with one row per network."""
        rows = []
        for name, row in self.networks.items():
            errors = row.errors
            rows.append(
                (
                    name,
                    *map(percent, errors.nme.bins),
                    f"{percent(errors.nme.mean)} ± {percent(errors.nme.std)}",
                    percent(errors.nme.image_mean),
                    NONE if errors.gte is None else percent(errors.gte),
                    str(errors.faces),
                    f"{row.markup.n_points} ({row.markup.name})",
                )
            )
        header = ("weights", *BINS, "mean of bins", "mean of images", "GTE", "faces", "points")
        return [Table("Validation rows: NME by yaw and GTE, percent", header, tuple(rows))]

    def to_text(self) -> str:
        """One line per network."""
        return "\n".join(
            f"{name}: {row.errors}, {row.markup.n_points} points ({row.markup.name})"
            for name, row in self.named.items()
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able. Errors are ratios; NaN (a bin without a face) becomes None."""
        record = {
            name: {"markup": row.markup.name, "n_points": row.markup.n_points, **row.errors.to_dict()}
            for name, row in self.named.items()
        }
        return dict(without_nan(record))


def evaluate(
    root: str | Path,
    weights: Weights | None = None,
    *,
    mirror: bool = True,
    refine: bool = False,
    execution: Execution = DEFAULT_EXECUTION,
    progress: Progress = no_progress,
) -> TableReport:
    """Score networks on the validation rows of a training table, in true boxes.

    Args:
        root: folder of the training table.
        weights: networks to score; ``small`` by default.
        mirror: flip averaging (average with the mirrored crop).
        refine: refinement (a second pass on an upright, centred crop).
        execution: runtime of the networks.
        progress: see ``jvcr.evaluate.benchmark.Progress``.
    Raises:
        FileNotFoundError, ValueError, ImageError: a file is missing or damaged, or a network's landmarks and the
            table's cannot be compared.
    """
    looks = Looks("true", mirror, refine)
    networks = open_networks(chosen_weights(weights), execution)
    table = TrainingTable(Path(root), "val")
    return TableReport({name: _errors(name, network, table, looks, progress) for name, network in networks.items()})


def _errors(name: str, network: Runtime, table: TrainingTable, looks: Looks, progress: Progress) -> RowErrors:
    samples = counted((table[row] for row in range(len(table))), f"jvcr {name}", len(table), progress)
    # Crops surround the box of the network's own landmarks, as in training, even if other landmarks are scored.
    boxed = boxed_samples(samples, network.markup)
    predicted = predict_samples(looks.last(network), boxed, rough=looks.first(network))
    markup = table.markup
    points = converted_points(predicted.points_img, network.markup, markup)
    if points is not None:
        predicted = replace(predicted, points_img=points, target_img=table.points)
    elif converted_points(table.points, markup, network.markup) is not None:
        markup = network.markup
    else:
        network.markup.derivation_from(markup)  # raises the error that explains what is wrong
    return RowErrors(markup, landmark_errors(predicted, markup.normaliser))
