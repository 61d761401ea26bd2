"""Expression: scores as tables of text."""

from __future__ import annotations

from collections.abc import Sequence

from jvcr.evaluate.expression_scores import FOLDS, YAW_NAMES, ExpressionScore, ExpressionTruth
from jvcr.expression import CLOSED_EYE, OPEN_EYE, SHUT_MOUTH, WIDE_MOUTH
from jvcr.report import NONE, Table, percent


def expression_tables(scores: Sequence[ExpressionScore], truth: ExpressionTruth) -> list[Table]:
    """Openings, positions, and both by yaw."""
    what = f"{truth.title}, {len(truth.names)} faces with hand marks"
    rows = []
    for one in scores:
        fits, groups = one.fits["all"], one.groups
        rows.append(
            (
                one.system.name,
                _number(one.closed_eyes["all"], 3),
                f"{_number(fits['eye opening'].slope)} / {_number(fits['eye opening'].correlation)}",
                f"{_number(groups['closed eyes'].predicted)} / {_number(groups['open eyes'].predicted)}",
                f"{_number(fits['mouth opening'].slope)} / {_number(fits['mouth opening'].correlation)}",
                f"{_number(groups['shut mouths'].predicted)} / {_number(groups['wide mouths'].predicted)}",
                f"{percent(one.inner['all'][0])} / {percent(one.inner['all'][1])}",
                f"{one.missed} of {one.faces}",
            )
        )
    first = scores[0].groups
    header = (
        "aligner",
        "closed eyes, AUC",
        "eye slope / r",
        "closed / open eyes",
        "mouth slope / r",
        "shut / wide mouths",
        "inner NME, raw / aligned",
        "missed",
    )
    notes = (
        f"Closed eyes: true opening under {CLOSED_EYE}, open ones over {OPEN_EYE}; medians of the predicted openings "
        f"(true: {_number(first['closed eyes'].true)} of {first['closed eyes'].count} closed, "
        f"{_number(first['open eyes'].true)} of {first['open eyes'].count} open).",
        f"Shut mouths: true opening under {SHUT_MOUTH}, wide ones over {WIDE_MOUTH} "
        f"(true: {_number(first['shut mouths'].true)} of {first['shut mouths'].count} shut, "
        f"{_number(first['wide mouths'].true)} of {first['wide mouths'].count} wide).",
        "Slope and r: of predicted on true openings. Inner NME: landmarks 17 to 67, percent of the box's size; "
        "aligned: without the mean offset of each landmark between the two markups, estimated on other faces "
        f"({FOLDS} folds).",
    )
    tables = [Table(f"Expression: {what}", header, tuple(rows), notes)]
    tables.append(
        Table(
            "Smile and brows: slope / correlation with the hand marks",
            ("aligner", "smile", "brow height"),
            tuple(
                (
                    one.system.name,
                    *(
                        f"{_number(one.fits['all'][name].slope)} / {_number(one.fits['all'][name].correlation)}"
                        for name in ("smile", "brow height")
                    ),
                )
                for one in scores
            ),
        )
    )
    by_yaw = tuple(
        (
            one.system.name,
            yaw,
            str(one.fits[yaw]["eye opening"].count),
            _number(one.closed_eyes[yaw], 3),
            _number(one.fits[yaw]["eye opening"].correlation),
            str(one.fits[yaw]["mouth opening"].count),
            _number(one.fits[yaw]["mouth opening"].correlation),
            f"{percent(one.inner[yaw][0])} / {percent(one.inner[yaw][1])}",
        )
        for one in scores
        for yaw in YAW_NAMES[1:]
    )
    header = ("aligner", "yaw", "eyes", "closed eyes, AUC", "eye r", "mouths", "mouth r", "inner NME, raw / aligned")
    tables.append(Table("Expression by yaw", header, by_yaw))
    return tables


def _number(value: float, digits: int = 2) -> str:
    return NONE if value != value else f"{value:.{digits}f}"
