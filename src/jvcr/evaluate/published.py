"""Published results, in percent, on AFLW2000-3D (all 2,000 images, 68 points) and 3DFAW (66 points).

Sources: the JVCR paper (arXiv 1801.09242) and the papers of the methods. Nothing here was measured by this project.
"""

from __future__ import annotations

from dataclasses import dataclass

NOT_TRANSCRIBED = "not transcribed"


@dataclass(frozen=True)
class PublishedNme:
    """2D NME on AFLW2000-3D, original labels, by yaw bin. None where the method's paper does not report it."""

    method: str
    bins: tuple[float, float, float] | None
    mean: float
    std: float | None = None


AFLW2000_NME = (
    PublishedNme("RCPR", (4.26, 5.96, 13.18), 7.80),
    PublishedNme("ESR", (4.60, 6.70, 12.67), 7.99),
    PublishedNme("SDM", (3.67, 4.94, 9.76), 6.12),
    PublishedNme("3DDFA", (3.78, 4.54, 7.93), 5.42),
    PublishedNme("3DDFA + SDM", (3.43, 4.24, 7.17), 4.94),
    PublishedNme("3DSTN", (3.15, 4.33, 5.98), 4.49),
    PublishedNme("FAN", (2.77, 3.48, 4.60), 3.62),
    PublishedNme("JVCR, the paper", (2.94, 3.46, 4.53), 3.64, 0.81),
    PublishedNme("PRNet", (2.75, 3.51, 4.61), 3.62),
    PublishedNme("3DDFA_V2, its paper", (2.63, 3.42, 4.48), 3.51),
    PublishedNme("3DDFA_V2, released weights", (2.74, 3.48, 4.54), 3.59),
    PublishedNme("SADRNet", None, 3.46),
    PublishedNme("SynergyNet", (2.65, 3.30, 4.27), 3.41),
)

IN_PAPER = ("RCPR", "ESR", "SDM", "3DDFA", "3DDFA + SDM", "3DSTN", "FAN", "JVCR, the paper")
"""Methods in the paper's Table IV. The others are more recent."""

AFLW2000_NME_REANNOTATED = {"SynergyNet": 2.65}
AFLW2000_GTE = {"FAN + depth (two steps)": 7.45, "JVCR, the paper": 7.28}
AFLW2000_POSE_MAE_DEG = {"6DRepNet": 3.97, "SynergyNet": 3.35, "DSFNet": 3.25}

THREEDFAW_VALIDATION_GTE = {"SDM + 3DMM": 6.34, "Gou": 5.90, "Bulat": 4.94, "JVCR, the paper": 4.36}
THREEDFAW_TEST = {
    "Zavan": (5.90, 10.80),
    "Gou": (4.94, 6.20),
    "Zhao": (3.97, 5.88),
    "Bulat": (3.47, 4.56),
    "Tulyakov": (3.80, 5.10),
    "JVCR, the paper": (3.46, 4.35),
}
"""(CVGTCE, GTE)."""
