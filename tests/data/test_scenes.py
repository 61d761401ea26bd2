"""Training pictures of the detector: what is drawn there must be where the boxes say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from jvcr.data.face_photos import FacePhoto, read_face_photos, turned_box
from jvcr.data.table import Table
from jvcr.frames import Crop
from jvcr.geometry import crop_tilt_deg
from jvcr.train.data.scenes import (
    FACE,
    IGNORED,
    MOST_FACES,
    NOTHING,
    Scene,
    SceneAugmentation,
    SceneSources,
    compose,
    scene_rates,
)

pytest.importorskip("torch")

PLAIN = SceneAugmentation(
    mosaic_share=0.0,
    empty_share=0.0,
    close_share=0.0,
    cover_share=0.0,
    patch_share=0.0,
    cut_share=0.0,
    window_share=0.0,
)


@pytest.fixture(scope="module")
def sources(
    make_photos: Callable[..., Path], four_faces: Table, tmp_path_factory: pytest.TempPathFactory
) -> SceneSources:
    boxes = {
        "lfw_a": [[60, 40, 130, 120]],
        "lfw_b": [[20, 30, 70, 100], [110, 60, 180, 140]],
        "bsds_c": [],
        "coco_d": [],
    }
    folder = make_photos(tmp_path_factory.mktemp("photos"), boxes)
    return SceneSources(read_face_photos(folder, "train", "val", "test"), four_faces).ready()


def scenes(sources: SceneSources, how: SceneAugmentation, count: int = 30, size_px: int = 192):
    rates = scene_rates(sources.crops, how.sampling)
    return [compose(sources, size_px, how, rates, np.random.default_rng((seed, 1))) for seed in range(count)]


def test_a_scene_is_made_again_from_its_seed(sources: SceneSources) -> None:
    for one, other in zip(scenes(sources, SceneAugmentation()), scenes(sources, SceneAugmentation()), strict=True):
        for ours, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_only_surely_empty_photos_are_backgrounds(sources: SceneSources) -> None:
    assert len(sources.empty) == 1
    assert [p.name for p in sources.crowded] == ["lfw_a", "lfw_b"]


def test_faces_of_photos_are_where_their_boxes_are(sources: SceneSources) -> None:
    # The ellipses are the only bright red in the photos: each must fill its box, whatever the roll and the scale.
    how = replace(PLAIN, pasted_share=0.0, smallest_px=30, largest=0.5)
    whole = 0
    for scene in scenes(sources, how):
        for box, kind in zip(scene.boxes, scene.kinds, strict=True):
            inside = (box[:2] > 2).all() and (box[2:] < 190).all()
            if kind != FACE or not inside:
                continue
            face = (np.abs(scene.image.astype(int) - (230, 180, 150)).sum(axis=2) < 60).astype(np.uint8)
            x0, y0, x1, y1 = np.round(box).astype(int)
            rows, columns = np.nonzero(face[max(0, y0 - 8) : y1 + 9, max(0, x0 - 8) : x1 + 9])
            found = np.array([columns.min() + max(0, x0 - 8), rows.min() + max(0, y0 - 8)])
            far = np.array([columns.max() + max(0, x0 - 8), rows.max() + max(0, y0 - 8)])
            if len(scene.kinds[scene.kinds > 0]) == 1:
                np.testing.assert_allclose(np.concatenate([found, far]), box, atol=2 + 0.02 * (x1 - x0))
                whole += 1
    assert whole >= 5


def test_pasted_landmarks_lie_in_their_boxes(sources: SceneSources) -> None:
    # The crops' landmarks are discs of bright red (250) on a dull photo.
    how = replace(PLAIN, pasted_share=1.0, most_pasted=1, smallest_px=80, largest=0.6, flip_share=0.5)
    tight = 0
    for scene in scenes(sources, how):
        assert (scene.kinds == FACE).sum() + (scene.kinds == IGNORED).sum() == 1
        if scene.kinds[0] != FACE:
            continue
        box = scene.boxes[0]
        if not ((box[:2] > 4).all() and (box[2:] < 187).all()):
            continue
        rows, columns = np.nonzero(scene.image[..., 0] > 215)
        if not len(rows):
            continue
        spread = np.array([columns.min(), rows.min(), columns.max(), rows.max()])
        # Discs have a radius of 2 px in the crop; soft masks may hide some at the edge.
        assert (spread[:2] >= box[:2] - 8).all() and (spread[2:] <= box[2:] + 8).all()
        tight += bool(np.abs(spread - box).max() < 8)
    assert tight >= 5


def test_roll_follows_the_turned_head(sources: SceneSources, monkeypatch: pytest.MonkeyPatch) -> None:
    tilts = [crop_tilt_deg(points, sources.crops.markup) for points in sources.crops.points]
    np.testing.assert_allclose(sources.tilt_deg, tilts)
    how = replace(PLAIN, pasted_share=1.0, most_pasted=1, roll_deg=0.0, any_roll_share=0.0, flip_share=0.0)
    rolls = {round(float(scene.roll_deg[0])) for scene in scenes(sources, how)}
    assert rolls <= {round(tilt) for tilt in tilts}
    mirrored = {round(float(s.roll_deg[0])) for s in scenes(sources, replace(how, flip_share=1.0))}
    assert mirrored <= {-round(tilt) for tilt in tilts}


def test_rolls_of_photos_are_unknown(sources: SceneSources) -> None:
    for scene in scenes(sources, replace(PLAIN, pasted_share=0.0), 5):
        assert np.isnan(scene.roll_deg).all()


def test_empty_scenes_have_no_face_and_mosaics_many(sources: SceneSources) -> None:
    for scene in scenes(sources, replace(PLAIN, empty_share=1.0, pasted_share=0.0, patch_share=1.0), 5):
        assert (scene.kinds == NOTHING).all()
    mosaics = scenes(sources, replace(PLAIN, mosaic_share=1.0, pasted_share=1.0), 20)
    assert max((s.kinds > 0).sum() for s in mosaics) > 4
    assert all(s.boxes.shape == (MOST_FACES, 4) for s in mosaics)
    # Not one of its faces reaches far into another quarter.
    for scene in mosaics:
        sure = scene.boxes[scene.kinds == FACE]
        assert (np.maximum(0, np.minimum(sure[:, 2:], 191) - np.maximum(sure[:, :2], 0)).max(axis=1) < 130).all()


def shares_inside(scene: Scene, low: float = -0.5, high: float = 191.5) -> np.ndarray:
    """How much of each box lies in the picture."""
    extent = scene.boxes[:, 2:] - scene.boxes[:, :2]
    inside = np.minimum(scene.boxes[:, 2:], high) - np.maximum(scene.boxes[:, :2], low)
    return (inside.clip(0) / np.maximum(extent, 1e-6)).prod(axis=1)


def centred(scene: Scene, beyond: float = 0.12) -> np.ndarray:
    """Whose centre lies in the picture, or outside by at most this share of the box."""
    centre = (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 2
    margin = beyond * (scene.boxes[:, 2:] - scene.boxes[:, :2])
    return ((centre + margin > -0.5) & (centre - margin < 191.5)).all(axis=1)


@pytest.mark.parametrize("how", [PLAIN, replace(PLAIN, cut_share=1.0), replace(PLAIN, cut_share=1.0, close_share=0.5)])
def test_faces_of_which_too_little_is_seen_are_ignored(sources: SceneSources, how: SceneAugmentation) -> None:
    seen = {FACE: 0, IGNORED: 0}
    cut = outside = 0
    for scene in scenes(sources, how, 60):
        size, share, faces = (
            (scene.boxes[:, 2:] - scene.boxes[:, :2]).max(axis=1),
            shares_inside(scene),
            scene.kinds == FACE,
        )
        assert (share[faces] >= np.where(size >= 40, 0.24, 0.6)[faces] - 1e-5).all()
        assert centred(scene)[faces].all()
        assert (size[faces] >= 0.9 * PLAIN.smallest_px - 1e-3).all()
        # All marked faces of the photos are sure here: what is ignored is small, or cut.
        ignored = scene.kinds == IGNORED
        assert ((share < 0.6) | ~centred(scene) | (size < 40))[ignored].all()
        cut += int((share[faces] < 0.6).sum())
        outside += int((~centred(scene, 0.0))[faces].sum())
        for kind in seen:
            seen[kind] += int((scene.kinds == kind).sum())
    assert seen[FACE] > 30 and seen[IGNORED] > 0
    assert (cut > 5) == (how is not PLAIN)
    assert outside > 0 or how is PLAIN


def test_close_ups_fill_the_picture(sources: SceneSources) -> None:
    # The crops' landmarks are discs of bright red on a dull photo: those that the picture shows lie inside the box.
    how = replace(PLAIN, close_share=1.0, pasted_share=0.0)
    sizes, shown = [], 0
    for scene in scenes(sources, how):
        assert (scene.kinds > 0).sum() == 1
        box = scene.boxes[0]
        sizes.append(float((box[2:] - box[:2]).max()) / 192)
        rows, columns = np.nonzero(scene.image[..., 0] > 235)
        inside = (columns >= box[0] - 12) & (columns <= box[2] + 12) & (rows >= box[1] - 12) & (rows <= box[3] + 12)
        if len(rows):
            shown += inside.mean() > 0.7
        assert np.isfinite(scene.roll_deg[0])
    assert 0.45 * how.largest * 0.9 < min(sizes) and 1.5 < max(sizes) < how.closest * 1.5
    assert shown > 15


def test_windows_hide_all_but_a_part(sources: SceneSources) -> None:
    how = replace(PLAIN, window_share=1.0, flip_share=0.0)
    whole = replace(PLAIN, flip_share=0.0)
    grey = 0
    for framed, plain in zip(scenes(sources, how), scenes(sources, whole), strict=True):
        colour = framed.image[0, 0] if (framed.image[0] == framed.image[0, 0]).all() else framed.image[-1, -1]
        beyond = (framed.image == colour).all(axis=2)
        rows, columns = np.nonzero(~beyond)
        low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
        grey += (colour == 127).all()
        for box, kind in zip(framed.boxes, framed.kinds, strict=True):
            if kind == FACE:
                centre, margin = (box[:2] + box[2:]) / 2, 0.12 * (box[2:] - box[:2])
                assert (centre + margin > low - 1).all() and (centre - margin < high + 1).all()
        assert framed.boxes.shape == plain.boxes.shape
    assert 10 < grey < 30


def test_covering_hides_a_part_only(sources: SceneSources) -> None:
    plain, covered = (scenes(sources, replace(PLAIN, pasted_share=0.0, cover_share=s), 20) for s in (0.0, 1.0))
    changed = 0
    for before, after in zip(plain, covered, strict=True):
        if before.boxes.shape == after.boxes.shape and np.array_equal(before.boxes, after.boxes):
            changed += not np.array_equal(before.image, after.image)
    assert changed > 3


def test_turned_boxes_by_hand() -> None:
    crop = Crop(50, 50, 100, 100, 90)
    np.testing.assert_allclose(turned_box(np.array([40.0, 30.0, 60.0, 70.0]), crop), [29.5, 39.5, 69.5, 59.5])
    # A circle stays as it is at any angle.
    at_45 = turned_box(np.array([40.0, 40.0, 60.0, 60.0]), Crop(50, 50, 100, 200, 45))
    np.testing.assert_allclose(at_45[2:] - at_45[:2], [40, 40])
    # The tight box of a turned ellipse, from its outline.
    angle = np.linspace(0, 2 * math.pi, 3600)
    outline = np.stack([50 + 10 * np.cos(angle), 50 + 20 * np.sin(angle), 0 * angle], axis=1)
    crop = Crop(50, 50, 100, 100, 30)
    points = crop.to_crop(outline)[:, :2]
    np.testing.assert_allclose(
        turned_box(np.array([40.0, 30.0, 60.0, 70.0]), crop), [*points.min(axis=0), *points.max(axis=0)], atol=1e-3
    )


def test_without_an_empty_photo_there_are_no_scenes(four_faces: Table) -> None:
    photo = FacePhoto("a", np.zeros((9, 9, 3), np.uint8), np.array([[1.0, 1, 5, 5]]), np.array([True]), np.zeros(1))
    with pytest.raises(ValueError, match="there is no photograph without a face"):
        SceneSources([photo], four_faces).ready()


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"scenes\.cover_share is 2; expected 0…1"):
        SceneAugmentation(cover_share=2)
    with pytest.raises(ValueError, match="smallest_px is 0"):
        SceneAugmentation(smallest_px=0)
    with pytest.raises(ValueError, match="occlusion_share must be 0"):
        SceneAugmentation(pixels=replace(SceneAugmentation().pixels, occlusion_share=0.1))


def test_large_photos_are_reduced_without_aliasing(four_faces: Table) -> None:
    # A fine checkerboard must become grey, not a pattern.
    board = np.kron(np.indices((400, 400)).sum(axis=0) % 2, np.ones((2, 2), int)).astype(np.uint8)[..., None] * 255
    photo = np.repeat(board, 3, axis=2)
    sources = SceneSources([FacePhoto("bsds_a", photo, np.empty((0, 4)), np.empty(0, bool), np.empty(0))], four_faces)
    how = replace(PLAIN, empty_share=1.0, pasted_share=0.0)
    image = compose(sources.ready(), 64, how, scene_rates(four_faces, how.sampling), np.random.default_rng(0)).image
    assert cv2.blur(image, (3, 3)).std() < 30


def test_pasted_faces_and_close_ups_may_wear_masks(sources: SceneSources) -> None:
    for kind in ({"pasted_share": 1.0}, {"pasted_share": 0.0, "close_share": 1.0}):
        how = replace(PLAIN, blur_share=0.0, smallest_px=40, largest=0.6, most_pasted=1, **kind)
        pair = [scenes(sources, replace(how, mask_share=share), 8) for share in (0.0, 1.0)]
        # A mask draws random numbers after the face was chosen, so only some scenes stay comparable: those must differ.
        assert any(not np.array_equal(one.image, other.image) for one, other in zip(*pair, strict=True))
        assert all((scene.kinds == FACE).any() for scene in pair[1])
