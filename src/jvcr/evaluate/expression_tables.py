"""Expression scores as text tables."""

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
        f"Closed / open eyes: median predicted opening of eyes with a true opening under {CLOSED_EYE} / over "
        f"{OPEN_EYE}. True medians: {_number(first['closed eyes'].true)} of {first['closed eyes'].count} closed eyes, "
        f"{_number(first['open eyes'].true)} of {first['open eyes'].count} open ones.",
        f"Shut / wide mouths: median predicted opening of mouths with a true opening under {SHUT_MOUTH} / over "
        f"{WIDE_MOUTH}. True medians: {_number(first['shut mouths'].true)} of {first['shut mouths'].count} shut "
        f"mouths, {_number(first['wide mouths'].true)} of {first['wide mouths'].count} wide ones.",
        "Slope / r: regression slope of predicted on true openings, and their correlation. Inner NME: landmarks 17 to "
        "67, percent of the box's size. Aligned: after removing the mean offset of each landmark between the two "
        f"markups, estimated on other faces ({FOLDS} folds).",
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
            "Light: individual typology angle of the cheeks over 41°. Dark: under 10°. Lighting and camera shift the "
            "angle, so compare only groups of many photos, never single faces."
        )
        tables.append(_by_subset("apparent skin tone", TONES, scores, (note,)))
    return tables


def _by_subset(
    what: str, names: Sequence[str], scores: Sequence[ExpressionScore], notes: tuple[str, ...] = ()
) -> Table:
    """One row per system and subset of the faces."""
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
