"""The search with stub networks: where the numbers of ``SearchPolicy`` decide, and where faces lie in depth."""

from __future__ import annotations

import numpy as np
import pytest

from jvcr import Box, Landmarker
from jvcr.detect.base import Proposal
from jvcr.find import DEFAULT_POLICY, FaceFinder, FoundFace
from jvcr.frames import Crop, CropRule, crop_to_unit
from jvcr.images import Image
from jvcr.locate import locate
from jvcr.markups.markup import Markup
from jvcr.runtime.base import Prediction
from jvcr.runtime.confidence import Confidence
from jvcr.runtime.landmark_confidence import LandmarkConfidence, input_size

PHOTO = np.zeros((240, 320, 3), np.uint8)
FOUR = Markup("four", 4, (1, 0, 3, 2), {}, frozenset(), (0, 1))
"""The corners of a box. It has no head pose, so crops are not turned."""

SURE = 0.9
"""The detector's score of every proposal here."""

CORNERS = np.array([[-5, -5, 0], [5, -5, 0], [-5, 5, 0], [5, 5, 0]], np.float32)
"""Of a box of 10 pixels in the middle of a crop of 16, which the rule makes of it: 1.6 · 10."""


class Stub:
    """A network that sees a face that fills the proposed box in every crop, or one ``off`` crop sides to the right,
    with a certain agreement."""

    image_size, markup, crop_rule, confidence = 16, FOUR, CropRule(), Confidence()

    def __init__(self, agreement: float, depth_unit: float = 0.5, off: float = 0.0) -> None:
        self.agreement, self.looks = agreement, 0
        self.points_unit = CORNERS / 16 + np.array([0.5 + off, 0.5, depth_unit], np.float32)

    def __call__(self, crops: Image) -> Prediction:
        self.looks += len(crops)
        # A constant volume gives its value at every point.
        volume = np.full((len(crops), 4, 4, 4), self.agreement, np.float32)
        return Prediction.from_volume(volume, np.repeat(self.points_unit[None], len(crops), axis=0))


def agreement_of(score: float, size_px: float = 100.0) -> float:
    """The agreement at which a face gets this score, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if Confidence().score(middle, SURE, size_px) < score else (low, middle)
    return high


def search(*boxes: Box, first: float, last: float) -> list[FoundFace]:
    """The faces among proposals, with the default policy and given agreements in the first and the last pass."""
    return FaceFinder(
        Stub(first, off=0.06),
        Stub(last),
        lambda image: [Proposal(box, SURE) for box in boxes],
        refine=True,
        batch_size=8,
        min_score=DEFAULT_POLICY.min_score,
    )(PHOTO)


def square(left: float) -> Box:
    return Box(left, 60, left + 100, 160)


@pytest.mark.parametrize(("shift", "faces"), [(25, 1), (40, 1), (45, 2), (60, 2)])
def test_results_that_overlap_by_more_than_two_fifths_are_one_face(shift: float, faces: int) -> None:
    # Squares of 100, shifted: 75 / 125 = 0.6, 60 / 140 = 0.43, 55 / 145 = 0.38, 40 / 160 = 0.25.
    sure = agreement_of(0.95)
    assert len(search(square(60), square(60 + shift), first=sure, last=sure)) == faces


@pytest.mark.parametrize(("score", "faces"), [(0.4, 0), (0.54, 0), (0.56, 1), (0.9, 1)])
def test_faces_are_kept_from_their_score_on(score: float, faces: int) -> None:
    found = search(square(60), first=agreement_of(0.95), last=agreement_of(score))
    assert [face.score for face in found] == pytest.approx([score] * faces, abs=1e-3)


@pytest.mark.parametrize(("share", "faces"), [(0.75, 0), (0.79, 0), (0.81, 1), (0.9, 1)])
def test_the_last_look_may_be_a_quarter_better_than_the_first(share: float, faces: int) -> None:
    # With 1 / 1.25 = 0.8 of the required agreement, a candidate may still reach it, and gets its last pass.
    needed = agreement_of(DEFAULT_POLICY.min_score)
    assert len(search(square(60), first=share * needed, last=agreement_of(0.95))) == faces


def test_what_cannot_become_a_face_gets_no_last_look() -> None:
    first, last = Stub(0.5 * agreement_of(DEFAULT_POLICY.min_score)), Stub(1.0)
    finder = FaceFinder(
        first, last, lambda image: [Proposal(square(60), SURE)], refine=True, batch_size=8, min_score=0.7
    )
    assert finder(PHOTO) == []
    assert (first.looks, last.looks) == (1, 0)


def test_the_search_asks_for_close_ups_only_where_it_finds_nothing() -> None:
    class Near:
        asked = 0

        def __init__(self, *found: Proposal) -> None:
            self.found = list(found)

        def __call__(self, image: Image) -> list[Proposal]:
            return self.found

        def close_up(self, image: Image) -> list[Proposal]:
            self.asked += 1
            return [Proposal(square(60), SURE)]

    sure = agreement_of(0.95)
    for detector, asked in ((Near(), 1), (Near(Proposal(square(80), SURE)), 0)):
        finder = FaceFinder(Stub(sure), Stub(sure), detector, refine=True, batch_size=8, min_score=0.7)
        (found,) = finder(PHOTO)
        assert detector.asked == asked
        assert found.box.x0 == pytest.approx(60 if asked else 80, abs=1e-3)


@pytest.mark.parametrize("boxes", [None, [square(60)]])
@pytest.mark.parametrize(("off", "passes", "followed"), [(0.0, 2, 0.5), (0.04, 2, 0.5), (0.11, 2, 0.5), (0.13, 3, 1.0)])
def test_the_second_pass_is_averaged_with_the_first_unless_that_was_far_off(
    boxes: list[Box] | None, off: float, passes: int, followed: float
) -> None:
    stub = Stub(0.9, off=off)
    landmarker = Landmarker(backend=stub, detector=lambda image: [Proposal(square(60), SURE)])
    (face,) = landmarker.predict(PHOTO, boxes, volumes=True)
    assert stub.looks == passes
    # The crop is 160 pixels wide. The second one is centred on what the first pass saw, and its mirror image sees the
    # face ``off`` to the other side.
    assert face.landmarks[:, 0].mean() == pytest.approx(110 + followed * 160 * off, abs=0.01)
    assert face.volume is not None and face.volume.shape == (4, 4, 4)


@pytest.mark.parametrize("boxes", [None, [square(60)]])
@pytest.mark.parametrize(("off", "passes"), [(0.0, 1), (0.04, 1), (0.06, 2)])
def test_without_flip_averaging_a_good_crop_needs_no_second_pass(
    boxes: list[Box] | None, off: float, passes: int
) -> None:
    stub = Stub(0.9, off=off)
    landmarker = Landmarker(backend=stub, detector=lambda image: [Proposal(square(60), SURE)], mirror=False)
    landmarker.predict(PHOTO, boxes)
    assert stub.looks == passes


@pytest.mark.parametrize("boxes", [None, [square(60)]])
@pytest.mark.parametrize(("sigma", "off", "passes"), [(0.015, 0.06, 1), (0.017, 0.06, 2), (0.015, 0.08, 2)])
def test_a_sure_result_from_a_good_crop_needs_no_mirror_image(
    boxes: list[Box] | None, sigma: float, off: float, passes: int
) -> None:
    stub = Stub(0.9, off=off)
    stub.confidence = Confidence(landmarks=always(sigma))
    landmarker = Landmarker(backend=stub, detector=lambda image: [Proposal(square(60), SURE)])
    landmarker.predict(PHOTO, boxes)
    assert stub.looks == passes


@pytest.mark.parametrize(("sigma", "scores"), [(0.01, [1 / (1 + 0.01 / 0.0316)]), (0.1, [])])
def test_a_face_whose_landmarks_are_unsure_scores_lower(sigma: float, scores: list[float]) -> None:
    stub = Stub(0.9)
    # Only σ counts: a logit of -ln(σ / 0.0316).
    only_sigma = (float(np.log(0.0316)), 0.0, 0.0, -1.0)
    stub.confidence = Confidence(small=only_sigma, large=only_sigma, landmarks=always(sigma))
    landmarker = Landmarker(backend=stub, detector=lambda image: [Proposal(square(60), SURE)])
    assert [face.score for face in landmarker.predict(PHOTO)] == pytest.approx(scores, abs=1e-3)


def always(sigma: float) -> LandmarkConfidence:
    """Says of every landmark that it has this standard deviation."""
    n, inputs = FOUR.n_points, input_size(FOUR.n_points)
    second = np.zeros((2 * n, 2), np.float32)
    second[n:, -1] = np.log(sigma)
    return LandmarkConfidence(np.zeros((2, inputs)), np.zeros((1, inputs + 1)), second)


def predicted_crop(landmarker: Landmarker, box: Box) -> tuple[np.ndarray, np.ndarray]:
    """Where the network saw the landmarks of a given box, by the face's own crop; and the landmarks."""
    (face,) = landmarker.predict(PHOTO, [box])
    assert face.crop is not None
    return crop_to_unit(face.crop.to_crop(face.landmarks), face.crop.size_px), face.landmarks


@pytest.mark.parametrize("refine", [False, True])
@pytest.mark.parametrize("depth_unit", [0.25, 0.5, 0.75])
def test_a_faces_crop_leads_back_into_its_volume(depth_unit: float, refine: bool) -> None:
    stub = Stub(0.5, depth_unit)
    landmarker = Landmarker(backend=stub, detector=lambda image: [], refine=refine, mirror=False)
    seen_unit, landmarks = predicted_crop(landmarker, square(60))
    np.testing.assert_allclose(seen_unit, stub.points_unit, atol=1e-5)
    # The face itself is centred in depth, wherever the network saw it.
    np.testing.assert_allclose(landmarks[:, 2], 0, atol=1e-4)


def test_depth_of_a_crop_by_hand() -> None:
    # Ten pixels wide, so that crop pixels are image pixels. All landmarks lie at 0.75 of the cube: at crop z = 4,
    # four pixels behind its mid-depth. Moving them to a mean of 0 puts the mid-depth at -4.
    landmarker = Landmarker(backend=Stub(0.5, 0.75), detector=lambda image: [], refine=False, mirror=False)
    (face,) = landmarker.predict(PHOTO, [Box(60, 60, 70, 70)])
    assert face.crop is not None
    assert face.crop.centre_z == pytest.approx(-4)
    np.testing.assert_allclose(face.crop.to_crop(face.landmarks)[:, 2], 4, atol=1e-5)


def test_located_points_by_hand() -> None:
    stub = Stub(0.5, 0.75)
    (found,) = locate(stub, PHOTO, [Crop.from_box(Box(60, 60, 80, 80), stub.image_size)])
    # Crop pixels are two image pixels wide, around the box's middle.
    np.testing.assert_allclose(found.points_img, [[60, 60, 0], [80, 60, 0], [60, 80, 0], [80, 80, 0]], atol=1e-4)
    assert found.crop.centre_z == pytest.approx(-8)
    assert found.score == pytest.approx(0.5)
