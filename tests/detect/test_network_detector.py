"""The shipped detector on the astronaut photograph (public domain), rotated, scaled and tiled."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.data import astronaut

from jvcr.detect.base import Proposal
from jvcr.detect.named import DetectorName, named_detector
from jvcr.detect.network import NetworkDetector, _inside, _intervals, _sizes
from jvcr.detect.whole import whole_image
from jvcr.frames import Box, Crop
from jvcr.images import Image, extract
from jvcr.weights import weights_path

PHOTO: Image = astronaut()
FACE = Box(179.0, 87.0, 269.0, 178.0)
MIDDLE = (224.0, 132.0)


@pytest.fixture(scope="module")
def detector() -> NetworkDetector:
    return NetworkDetector(threads=1)


def best(found: list[Proposal]) -> Proposal:
    assert found
    return max(found, key=lambda p: p.score or 0)


def test_the_astronaut_is_found_upright(detector: NetworkDetector) -> None:
    found = best(detector(PHOTO))
    assert found.box.iou(FACE) > 0.7
    assert abs(found.roll_deg) < 15
    assert found.score is not None and found.score > 0.5


@pytest.mark.parametrize("degrees", [-90, -45, -20, 20, 45, 90, 180])
def test_roll_is_seen(detector: NetworkDetector, degrees: float) -> None:
    turned = extract(PHOTO, Crop(*MIDDLE, 400, 400, degrees))
    found = best(detector(turned))
    # The box's middle stays where it was: in the middle.
    assert found.box.iou(Box(154.5, 154.5, 244.5, 244.5)) > 0.55
    difference = (found.roll_deg - degrees + 180) % 360 - 180
    assert abs(difference) < 25


@pytest.mark.parametrize("face_px", [14, 24, 60, 150, 280])
def test_faces_from_small_to_large(detector: NetworkDetector, face_px: int) -> None:
    scale = face_px / 91
    picture = extract(PHOTO, Crop(224, 170, 320 / scale, 320), cv2.BORDER_REFLECT_101)
    middle = 159.5, 159.5 - 38 * scale
    half = face_px / 2
    true = Box(middle[0] - half, middle[1] - half, middle[0] + half, middle[1] + half)
    assert max((p.box.iou(true) for p in detector(picture)), default=0) > 0.45


def test_small_faces_of_a_large_photo_need_a_larger_search() -> None:
    # A face of 24 pixels in a photo of 3000: 5 pixels at 640, whole in one of many tiles at 3000.
    small = cv2.resize(PHOTO, None, fx=24 / 91, fy=24 / 91, interpolation=cv2.INTER_AREA)
    photo = np.full((1500, 3000, 3), (90, 120, 150), np.uint8)
    photo[1100 : 1100 + len(small), 2300 : 2300 + small.shape[1]] = small
    scale = 24 / 91
    true = Box(*(v * scale + d for v, d in zip(FACE.to_list(), (2300, 1100) * 2, strict=True)))
    coarse = NetworkDetector(threads=1)(photo)
    fine = NetworkDetector(size=3000, threads=1)(photo)
    assert max((p.box.iou(true) for p in coarse), default=0) < 0.4
    hits = [p for p in fine if p.box.iou(true) > 0.4]
    assert len(hits) == 1


def test_a_large_face_is_found_in_a_fine_search_once() -> None:
    large = cv2.resize(PHOTO, (2048, 2048), interpolation=cv2.INTER_LINEAR)
    found = NetworkDetector(size=2048, min_score=0.4, threads=1)(large)
    true = Box(*(4 * v for v in FACE.to_list()))
    assert sum(p.box.iou(true) > 0.3 for p in found) == 1


def test_the_same_photo_gives_the_same(detector: NetworkDetector) -> None:
    assert detector(PHOTO) == detector(PHOTO.copy()) == NetworkDetector(threads=2)(PHOTO)


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (17, 17), (64, 65), (700, 30)])
def test_any_size_goes(detector: NetworkDetector, shape: tuple[int, int]) -> None:
    for proposal in detector(np.full((*shape, 3), 128, np.uint8)):
        assert proposal.score is not None


def test_tiles_cover_everything_and_overlap() -> None:
    for extent in (1, 640, 1024, 1025, 2000, 4097):
        intervals = _intervals(extent)
        assert intervals[0][0] == 0 and intervals[-1][1] == extent
        for (_, end), (start, _) in itertools.pairwise(intervals):
            assert end - start >= 128


def test_searches_go_down_to_320() -> None:
    assert _sizes(4000, 3000, 640) == [(640, 480), (320, 240)]
    assert _sizes(4000, 4, 320) == [(320, 1)]
    assert _sizes(2000, 4000, 2560) == [(1280, 2560), (320, 640), (160, 320)]
    assert _sizes(300, 300, 640) == [(320, 320)]
    assert _sizes(100, 50, 640) == [(200, 100)]


def test_whole_images_are_one_face() -> None:
    crop = PHOTO[50:220, 135:305]
    boxes = [p.box for p in whole_image(crop)]
    true = Box(FACE.x0 - 135, FACE.y0 - 50, FACE.x1 - 135, FACE.y1 - 50)
    assert max(box.iou(true) for box in boxes) > 0.6
    assert whole_image(np.zeros((10, 90, 3), np.uint8)) == []


def test_detectors_by_name(detector: NetworkDetector) -> None:
    assert named_detector(DetectorName.WHOLE_IMAGE) is whole_image
    assert named_detector(DetectorName.OWN, threads=1)(PHOTO) == detector(PHOTO)


def test_wrong_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="detect size is 32; expected at least 64"):
        NetworkDetector(size=32)
    with pytest.raises(FileNotFoundError, match=r"none\.onnx: no such weights file"):
        NetworkDetector(tmp_path / "none.onnx")
    with pytest.raises(ValueError, match=r"small\.onnx: no 'jvcr-detector' entry"):
        NetworkDetector("small")


def test_the_file_is_small_and_says_what_it_is(detector: NetworkDetector) -> None:
    path = weights_path("detector")
    assert path.stat().st_size < 2_000_000
    import onnxruntime

    metadata = onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
    about = json.loads(metadata["jvcr-detector"])["about"]
    assert "research" in about["licence"]


class OneCell(NetworkDetector):
    """Sees one face in pictures of one width, around cell (5, 3), whatever they show."""

    def __init__(self, picture_width: int, cells_wide: float, score: float = 0.9, size: int = 640) -> None:
        super().__init__(size=size, threads=1)
        self.picture_width, self.cells_wide, self.score = picture_width, cells_wide, score
        self.seen: list[tuple[int, ...]] = []

    def cells(self, pictures: Image) -> NDArray[np.float32]:
        count, height, width, _ = pictures.shape
        self.seen.append(pictures.shape[:3])
        cells = np.zeros((count, 7, height // 8, width // 8), np.float32)
        if width == self.picture_width:
            wide, high = np.log(self.cells_wide), np.log(self.cells_wide / 2)
            cells[:, :, 3, 5] = self.score, 0, 0, wide, high, 1, 0
        return cells


def test_boxes_of_a_reduced_photo_by_hand() -> None:
    # The photo is searched at half its size. Cell (5, 3) holds the pixels 40 to 47 and 24 to 31 there, so its middle is
    # at (43.5, 27.5); 4 × 2 cells are 32 × 16 pixels. Pixel x there holds the pixels 2x and 2x + 1 of the photo.
    (found,) = OneCell(320, 4)(np.zeros((320, 640, 3), np.uint8))
    x, y = 2 * 43.5 + 0.5, 2 * 27.5 + 0.5
    np.testing.assert_allclose(found.box.to_list(), [x - 32, y - 16, x + 32, y + 16], atol=1e-4)
    # Nothing is resized.
    (found,) = OneCell(320, 4)(np.zeros((192, 320, 3), np.uint8))
    np.testing.assert_allclose(found.box.to_list(), [43.5 - 16, 27.5 - 8, 43.5 + 16, 27.5 + 8], atol=1e-4)


def test_small_things_are_looked_at_again_from_near() -> None:
    # A thing of 2 × 1 cells, 16 × 8 pixels of the coarse search, which shows a photo of 1280 × 640 at a quarter. Its
    # middle (43.5, 27.5) is at (87.5, 55.5) in the search at a half, so a tile of 64 begins at (55, 23) there.
    photo = np.zeros((640, 1280, 3), np.uint8)
    doubtful = OneCell(320, 2, score=0.24)

    class Both(OneCell):
        def cells(self, pictures: Image) -> NDArray[np.float32]:
            return (doubtful if pictures.shape[2] == 320 else super()).cells(pictures)

    # What the tile shows comes back from where it is: (43.5 + 55, 27.5 + 23) in the search at a half.
    near = Both(64, 2)
    found, _ = near(photo)
    assert doubtful.seen + near.seen == [(1, 192, 320), (1, 64, 64)]
    x, y = 2 * (43.5 + 55) + 0.5, 2 * (27.5 + 23) + 0.5
    np.testing.assert_allclose(found.box.to_list(), [x - 16, y - 8, x + 16, y + 8], atol=1e-4)
    # 3.25 cells are 52 pixels of the search at a half: too large for a tile of 64 with a margin.
    wide = OneCell(320, 3.25, score=0.6)
    wide(photo)
    assert wide.seen == [(1, 192, 320), (1, 128, 128)]


def test_large_things_are_not_looked_at_again() -> None:
    photo = np.zeros((640, 1280, 3), np.uint8)
    large = OneCell(320, 4, score=0.9)
    large(photo)
    assert large.seen == [(1, 192, 320)]


@pytest.mark.parametrize(("cells_wide", "score", "near"), [(4, 0.45, []), (2, 0.1, []), (2, 0.45, [(1, 64, 64)])])
def test_where_nothing_is_sure_the_whole_photo_is_searched(
    cells_wide: float, score: float, near: list[tuple[int, ...]]
) -> None:
    detector = OneCell(320, cells_wide, score)
    detector(np.zeros((640, 1280, 3), np.uint8))
    second_opinion = [(1, 64, 64)] if score == 0.45 else []
    assert detector.seen == [(1, 192, 320), *near, (1, 320, 640), *second_opinion]


def test_many_small_things_bring_a_whole_search() -> None:
    class Crowd(OneCell):
        def cells(self, pictures: Image) -> NDArray[np.float32]:
            cells = super().cells(pictures)
            if pictures.shape[2] == 320:
                cells[:, :, 1::4, 1::4] = np.array([0.5, 0, 0, 0, 0, 1, 0])[:, None, None]
            return cells

    crowd = Crowd(320, 2)
    crowd(np.zeros((640, 1280, 3), np.uint8))
    assert crowd.seen[:2] == [(1, 192, 320), (1, 320, 640)]


def test_a_larger_size_searches_everything() -> None:
    detector = OneCell(320, 4, size=1280)
    detector(np.zeros((640, 1280, 3), np.uint8))
    # Three overlapping tiles of 640, then a quarter.
    assert detector.seen == [(1, 640, 640)] * 3 + [(1, 192, 320)]


def test_close_ups_by_hand() -> None:
    # A photo of 320 × 160 is reduced to 160 × 80, inside a border of 48. Cell (5, 3) has its middle at (43.5, 27.5),
    # which is in the border.
    photo = np.zeros((160, 320, 3), np.uint8)
    detector = OneCell(256, 4)
    assert detector.close_up(photo) == []
    assert detector.seen == [(1, 192, 256)]
    # A box of 45 pixels has its middle 4.5 of them left of the photo's left edge, which is a tenth; it is 20 above.
    assert OneCell(256, 5.7).close_up(photo) == []

    class Middle(OneCell):
        def cells(self, pictures: Image) -> NDArray[np.float32]:
            return np.roll(super().cells(pictures), (7, 11), axis=(2, 3))

    # Ten cells lower and to the right of the border: cell (16, 10), at (131.5, 83.5), is (83.5, 35.5) in the photo at
    # half its size. 40 × 20 cells are 320 × 160 pixels there: a face twice as large as the photo.
    (found,) = Middle(256, 40).close_up(photo)
    x, y = 2 * 83.5 + 0.5, 2 * 35.5 + 0.5
    np.testing.assert_allclose(found.box.to_list(), [x - 320, y - 160, x + 320, y + 160], rtol=1e-5)


def test_the_middle_of_a_cut_face_may_lie_a_little_beyond_the_picture() -> None:
    # Pixels reach to 79.5; a box of 50 pixels may have its middle 5 beyond.
    picture = np.zeros((80, 100, 3), np.uint8)
    middles = (84.4, 84.6)
    boxes = np.array([[10.0, middle - 25, 60.0, middle + 25] for middle in middles])
    assert _inside(boxes, picture).tolist() == [True, False]
    assert _inside(boxes[:, [1, 0, 3, 2]] + [20, 0, 20, 0], picture).tolist() == [True, False]


@pytest.mark.parametrize("shape", [(1, 1), (17, 500), (500, 17), (64, 64), (700, 701)])
def test_close_ups_of_any_size(detector: NetworkDetector, shape: tuple[int, int]) -> None:
    for proposal in detector.close_up(np.full((*shape, 3), 128, np.uint8)):
        assert proposal.score is not None


def shifted(image: NDArray[np.uint8], pixels: int) -> NDArray[np.uint8]:
    return np.roll(image, pixels, axis=1)


def test_boxes_follow_the_face_by_less_than_a_cell(detector: NetworkDetector) -> None:
    # Between the network's cells of eight pixels, nothing is lost. The search does not resize this photo.
    photo = np.asarray(cv2.resize(PHOTO, (320, 320), interpolation=cv2.INTER_AREA), np.uint8)
    start = best(detector(photo)).box
    for pixels in (1, 3, 4, 6):
        moved = best(detector(shifted(photo, pixels))).box
        assert abs(moved.centre[0] - start.centre[0] - pixels) < 2.5
        assert abs(moved.centre[1] - start.centre[1]) < 2.5


def test_the_shipped_pair_agrees(detector: NetworkDetector) -> None:
    torch = pytest.importorskip("torch")
    from jvcr.model.detector import DetectorInference
    from jvcr.model.detector_file import load_detector

    network, header = load_detector(weights_path("detector", ".safetensors"))
    picture = np.ascontiguousarray(PHOTO[:320, :320])[None]
    with torch.inference_mode():
        ours = DetectorInference(network).eval()(torch.from_numpy(picture)).numpy()
    # Both hold the same 16-bit weights, so only the order of additions differs.
    np.testing.assert_allclose(detector.cells(picture), ours, atol=1e-4)
    assert "research" in header.about["licence"]


def test_photos_of_a_few_pixels_give_no_box_below_a_pixel() -> None:
    lenient, random = NetworkDetector(min_score=0.05, threads=1), np.random.default_rng(0)
    boxes = []
    for side in range(1, 24):
        noise = random.integers(0, 256, (side, side, 3), np.uint8)
        boxes += [one.box for one in (*lenient(noise), *lenient.close_up(noise))]
    assert boxes
    assert min(max(box.width, box.height) for box in boxes) >= 1
