"""Results of the data check: faults, cases, findings and the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Fault:
    """A kind of fault: code, severity, meaning, and how to fix it."""

    code: str
    severity: Severity
    what: str
    do: str


_LIST: tuple[Fault, ...] = (
    # The files.
    Fault("bad-labels", "error", "the labels cannot be read", "write them again as docs/datasets.md says"),
    Fault(
        "reader-error",
        "error",
        "the data set's reader refused a sample",
        "fix or remove the sample that it names, then check again",
    ),
    Fault("reader-note", "note", "the data set's reader left samples out", "nothing, if this is intended"),
    Fault("damaged-archive", "error", "a tar file is damaged or cut off", "copy or pack it again"),
    Fault("missing-image", "error", "a label has no image", "add the image, or drop the row"),
    Fault("unreadable-image", "error", "an image cannot be decoded", "export it again, or drop the row"),
    Fault("duplicate-id", "error", "several rows have the same id", "give every row an id of its own"),
    Fault("duplicate-member", "error", "several images have the same name", "keep one of them"),
    Fault("unused-member", "note", "an image has no row", "nothing, unless a row is missing"),
    # One label.
    Fault("not-finite", "error", "a landmark is NaN or infinite", "mark the landmark again, or drop the row"),
    Fault("no-landmarks", "error", "no landmark is marked", "mark it, or drop the sample"),
    Fault("weight-out-of-range", "error", "the weight is not above 0 and at most 1", "correct the weight"),
    Fault(
        "unknown-openings",
        "error",
        "openings has an unknown value",
        "use hand, mesh, exact, model or an empty text (docs/datasets.md)",
    ),
    Fault("unknown-visibility", "error", "a visibility is not -1, 0, 1 or 2", "correct it, or write -1 for unknown"),
    Fault(
        "hand-marks-elsewhere",
        "warning",
        "hand marks are far from the landmarks",
        "compare both: other pixels, another face, mirrored, or another order of landmarks?",
    ),
    Fault("empty-box", "error", "the landmark box has no width or no height", "mark it again, or drop the row"),
    Fault(
        "speck",
        "error",
        "the landmark box is under 4 px",
        "check the unit of x and y: pixels of the image, not fractions of its width; or drop the row",
    ),
    Fault(
        "flat-depth",
        "error",
        "all z are the same",
        "2D labels have z = NaN, not a constant; provide depth, or store NaN",
    ),
    Fault(
        "face-outside-image",
        "error",
        "more than half of the landmarks are outside the image",
        "check that the label belongs to this image, at this size and crop",
    ),
    Fault(
        "point-outside-volume",
        "error",
        "a landmark is outside the cube of the crop, so it has no training target",
        "check the unit of z (pixels, mean 0 over the landmarks)",
    ),
    Fault(
        "mirrored",
        "error",
        "left and right landmarks are swapped",
        "swap the mirror pairs (markup.mirror); images were probably flipped without doing so",
    ),
    Fault("depth-sign", "error", "z has the wrong sign", "negate z: a table stores it towards the camera"),
    Fault(
        "reflected",
        "error",
        "the label is the mirror image of a head: left and right are swapped, or z has the wrong sign",
        "inspect it: on a profile, the landmarks alone cannot tell which",
    ),
    Fault(
        "turned-away",
        "error",
        "the face looks away from the camera",
        "left and right are swapped and z has the wrong sign; or the label's pose is wrong",
    ),
    Fault("y-up", "error", "y points up", "pixels count downwards: store height - 1 - y"),
    Fault("mis-ordered", "error", "landmarks are swapped", "put them in the markup's order"),
    Fault(
        "mirrored-image",
        "error",
        "the network's landmarks fit the label's mirror image: the image was flipped and the label was not",
        "flip the image back, or mirror the label and swap its mirror pairs",
    ),
    Fault(
        "model-disagrees",
        "warning",
        "the network predicts the landmarks elsewhere",
        "inspect it: the label of another image, another face in the photo, or a difficult photo",
    ),
    Fault(
        "point-outside-image",
        "warning",
        "landmarks are outside the image",
        "nothing if the face is truncated by the frame; otherwise inspect the label",
    ),
    Fault("point-off", "warning", "a landmark is far from its expected position", "inspect it, and mark it again"),
    Fault(
        "shape-off",
        "warning",
        "the landmarks as a whole do not form a head",
        "check the markup, the order and the unit of z",
    ),
    Fault("upside-down", "warning", "the head is upside down", "check the image's rotation"),
    Fault("tiny-face", "warning", "the face is very small", "drop it, or take the photo at a higher resolution"),
    Fault("blank-image", "warning", "the image has no content", "drop it"),
    # Between samples.
    Fault(
        "unknown-split",
        "error",
        "a split is not train, val or test: neither training nor a benchmark reads its rows",
        "give these rows one of the three",
    ),
    Fault(
        "no-validation-rows",
        "warning",
        "there are rows for training and none for validation; training needs both",
        "give some rows, of other persons and photos, the split val",
    ),
    Fault(
        "group-across-splits", "error", "a person or photo is in more than one split", "keep a group in a single split"
    ),
    Fault("duplicate-across-splits", "error", "the same photo is in more than one split", "remove it from one of them"),
    Fault(
        "similar-across-splits",
        "warning",
        "nearly the same photo is in more than one split",
        "inspect it: shots of one session belong in one split",
    ),
    Fault(
        "photo-across-splits",
        "warning",
        "faces of one photo are in more than one split",
        "keep the faces of one photo in one split",
    ),
    Fault("duplicate-in-split", "warning", "the same photo occurs twice in a split", "keep one, or give both a group"),
    # The whole.
    Fault("empty-set", "error", "there is no sample", "check the folder and the format"),
    Fault("no-groups", "note", "no group is known", "set `group` for rows that show the same person or photo"),
    Fault("not-judged", "note", "something could not be checked", "see docs/data-check.md"),
    Fault(
        "label-offset",
        "note",
        "labels have a constant offset from the network's predictions",
        "check the labels' pixel base (0 or 1)",
    ),
)

FAULTS: dict[str, Fault] = {fault.code: fault for fault in _LIST}
"""All faults by code, in the order of the report."""


@dataclass(frozen=True)
class Case:
    """One occurrence of a fault.

    Attributes:
        code: a key of ``FAULTS``.
        name: the affected sample, file or group.
        detail: readable figures.
        row: number of the sample in its source; None for a file, a group or the whole data set.
        landmarks: the affected landmarks.
        partner: row of the other sample of a pair.
        size: size of the fault; the largest cases of a code come first.
    """

    code: str
    name: str
    detail: str = ""
    row: int | None = None
    landmarks: tuple[int, ...] = ()
    partner: int | None = None
    size: float = 0.0

    def __str__(self) -> str:
        return f"{self.name} ({self.detail})" if self.detail else self.name


@dataclass(frozen=True)
class Finding:
    """All cases of one fault, the largest first."""

    fault: Fault
    cases: tuple[Case, ...]

    @property
    def code(self) -> str:
        """The fault's code, e.g. ``mirrored-labels``."""
        return self.fault.code

    @property
    def severity(self) -> Severity:
        """How bad the fault is."""
        return self.fault.severity

    @property
    def count(self) -> int:
        """Number of cases."""
        return len(self.cases)

    @property
    def names(self) -> list[str]:
        """The affected samples, one for each case."""
        return [case.name for case in self.cases]


@dataclass(frozen=True)
class Counts:
    """Counts of the data set. ``image_sizes`` maps WIDTH×HEIGHT to a count, most frequent first; ``box_px`` has the
    minimum, median and maximum of the longer side of the landmark boxes, or None if no box is known."""

    samples: int
    splits: dict[str, int]
    sources: dict[str, int]
    yaw_bins: dict[str, int]
    markups: dict[str, int]
    groups: int
    image_sizes: dict[str, int]
    box_px: tuple[float, float, float] | None


@dataclass(frozen=True)
class Report:
    """The result of a check. ``yaw_deg`` (NaN if unknown) and ``sources`` are by row."""

    title: str
    counts: Counts
    findings: tuple[Finding, ...]
    sources: tuple[str, ...] = ()
    yaw_deg: tuple[float, ...] = ()

    def of(self, code: str) -> Finding | None:
        """The finding with this code, or None."""
        return next((finding for finding in self.findings if finding.code == code), None)

    def number(self, severity: Severity) -> int:
        """Number of cases of a severity."""
        return sum(finding.count for finding in self.findings if finding.severity == severity)

    def exit_code(self, strict: bool = False) -> int:
        """1 if there is an error (``strict``: or a warning), else 0."""
        return int(self.number("error") > 0 or (strict and self.number("warning") > 0))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, all cases."""
        return {
            "title": self.title,
            "counts": asdict(self.counts),
            "errors": self.number("error"),
            "warnings": self.number("warning"),
            "findings": [
                {
                    **asdict(finding.fault),
                    "count": finding.count,
                    "cases": [
                        {
                            "name": case.name,
                            "detail": case.detail,
                            "row": case.row,
                            "partner": case.partner,
                            "landmarks": list(case.landmarks),
                        }
                        for case in finding.cases
                    ],
                }
                for finding in self.findings
            ],
        }


def findings_of(cases: Sequence[Case]) -> tuple[Finding, ...]:
    """Cases by fault, errors first, then in the order of ``FAULTS``."""
    by_code: dict[str, list[Case]] = {}
    for case in cases:
        by_code.setdefault(case.code, []).append(case)
    return tuple(
        Finding(fault, tuple(sorted(by_code[fault.code], key=lambda case: -case.size)))
        for severity in SEVERITIES
        for fault in _LIST
        if fault.severity == severity and fault.code in by_code
    )


def tally(values: Sequence[str]) -> dict[str, int]:
    """Value → count, most frequent first."""
    return dict(Counter(values).most_common())
