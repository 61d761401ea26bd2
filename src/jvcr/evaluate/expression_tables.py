"""Scores of expression as tables of text."""

from __future__ import annotations

from collections.abc import Sequence

from jvcr.evaluate.expression_scores import FOLDS, YAW_NAMES, ExpressionScore, ExpressionTruth
from jvcr.evaluate.tone import TONES
from jvcr.expression import CLOSED_EYE, OPEN_EYE, SHUT_MOUTH, WIDE_MOUTH
from jvcr.report import NONE, Table, percent


def expression_tables(scores: Sequence[ExpressionScore], truth: ExpressionTruth) -> list[Table]:
    """Openings, positions, and both by yaw and by apparent skin tone."""
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
    tables.append(_by_subset("yaw", YAW_NAMES[1:], scores))
    if truth.tones:
        note = (
            "Light: the cheeks' individual typology angle is over 41°, dark: under 10°. Light and camera shift it: "
            "groups of many photos may be compared, single faces must not be."
        )
        tables.append(_by_subset("apparent skin tone", TONES, scores, (note,)))
    return tables


def _by_subset(
    what: str, names: Sequence[str], scores: Sequence[ExpressionScore], notes: tuple[str, ...] = ()
) -> Table:
    """Eyes, mouths and positions of each subset of the faces."""
    header = ("aligner", what, "eyes", "closed eyes, AUC", "eye r", "mouths", "mouth r", "inner NME, raw / aligned")
    rows = tuple(
        (
            one.system.name,
            name,
            str(one.fits[name]["eye opening"].count),
            _number(one.closed_eyes[name], 3),
            _number(one.fits[name]["eye opening"].correlation),
            str(one.fits[name]["mouth opening"].count),
            _number(one.fits[name]["mouth opening"].correlation),
            f"{percent(one.inner[name][0])} / {percent(one.inner[name][1])}",
        )
        for one in scores
        for name in names
    )
    return Table(f"Expression by {what}", header, rows, notes)


def _number(value: float, digits: int = 2) -> str:
    return NONE if value != value else f"{value:.{digits}f}"
