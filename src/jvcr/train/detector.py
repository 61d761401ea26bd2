"""Training of the face detector, and its validation on held-out photographs."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from jvcr.detect.base import nms
from jvcr.detect.cells import decode
from jvcr.detect.network import SAME_FACE
from jvcr.draw.landmarks import draw_boxes
from jvcr.evaluate.matching import Judged, judge
from jvcr.frames import Box
from jvcr.images import Image
from jvcr.model.detector import DetectorInference, FaceDetector
from jvcr.model.detector_file import DetectorHeader, load_detector, save_detector
from jvcr.train.config import DetectConfig, Stage
from jvcr.train.data.masks import check_markup
from jvcr.train.data.negatives import HardNegatives, mine
from jvcr.train.data.scenes import FACE, Scene, SceneSources, compose, scene_rates
from jvcr.train.data.stream import one_thread
from jvcr.train.detector_loss import detector_losses, true_cells
from jvcr.train.task import Share, pixel_digest
from jvcr.train.vary import vary_pixels

_VALIDATION_SCENES = 400
_ALLOWED_FALSE = 0.02
_HARD_SCORE = 0.15


class SceneBatch(NamedTuple):
    """images (B, S, S, 3) uint8; boxes (B, K, 4); kinds (B, K); roll_deg (B, K); weight (B,): faces of each."""

    images: Tensor
    boxes: Tensor
    kinds: Tensor
    roll_deg: Tensor
    weight: Tensor


@dataclass(frozen=True)
class DetectionReport:
    """Recall on validation scenes at the score with 0.02 false positives per scene, and the average precision."""

    recall: float
    score: float
    average_precision: float
    faces: int
    scenes: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, fields by their names."""
        return asdict(self)

    def to_row(self) -> dict[str, Any]:
        """Columns of ``log.csv``."""
        return {"recall": self.recall, "score": self.score, "average_precision": self.average_precision}

    def __str__(self) -> str:
        return (
            f"{100 * self.recall:.1f} % of {self.faces} faces in {self.scenes} scenes found at score {self.score:.2f} "
            f"({_ALLOWED_FALSE} false faces a scene), average precision {100 * self.average_precision:.1f} %"
        )


class DetectTask:
    """See ``jvcr.train.task.Task``.

    Args:
        training, validation: photographs and crops, of different people and photos.
        init: weights file of a detector of the same sizes to start from.
    """

    def __init__(
        self, config: DetectConfig, training: SceneSources, validation: SceneSources, init: Path | None = None
    ) -> None:
        self.config = config.for_rows(len(training.photos))
        if config.scenes.mask_share:
            check_markup(training.crops.markup)
        self.training, self.validation = training.ready(), validation.ready()
        self.identity: dict[str, Any] = {"task": "detect"}
        torch.manual_seed(config.seed)
        self.network: nn.Module = FaceDetector(config.model)
        self.start, self._init = "", init
        if config.scenes.hard_share and init is not None:
            # Mined with the initial weights, so that a resumed run finds the same ones.
            hard = _mined(init, self.training.empty, config.model.image_size)
            self.training = replace(self.training, hard=hard).ready()

    def before_first_step(self) -> None:
        """
        Raises:
            ValueError: the weights to start from are of another network.
        """
        if self._init is None:
            return
        network, header = load_detector(self._init)
        if header.config != self.config.model:
            raise ValueError(f"{self._init} is a detector of other sizes: {header.config}, not {self.config.model}")
        self.network.load_state_dict(network.state_dict())
        self.start = "all of it taken"

    def batches(self, first: int, share: slice) -> Iterator[SceneBatch]:
        """See ``jvcr.train.task.Task``."""
        config = self.config
        rates = scene_rates(self.training.crops, config.scenes.sampling)
        loader = DataLoader(
            _Scenes(self.training, config, rates),
            batch_sampler=_Numbers(config.batch_size, first, share),  # type: ignore[arg-type]
            collate_fn=_collate,
            num_workers=min(config.workers, os.cpu_count() or 1),
            # Forked workers share the decoded pictures; others would each get a copy.
            multiprocessing_context="fork" if config.workers and sys.platform == "linux" else None,
            worker_init_fn=one_thread,
            prefetch_factor=4 if config.workers else None,
            pin_memory=torch.cuda.is_available(),
        )
        return iter(loader)

    def losses(self, network: nn.Module, batch: SceneBatch, share: Share, stage: Stage) -> dict[str, Tensor]:
        """See ``jvcr.train.task.Task``."""
        images, boxes, kinds, roll = (
            value[share.mine].to(share.device, non_blocking=True)
            for value in (batch.images, batch.boxes, batch.kinds, batch.roll_deg)
        )
        output = network(vary_pixels(images, self.config.scenes.pixels, share.rows, share.seed))
        true = true_cells(boxes, kinds, roll, output.shape[-1], self.config.model.stride)
        faces = share.weight_sum.clamp(min=1)
        return detector_losses(output, true, faces, self.config.box_weight, self.config.roll_weight)._asdict()

    def validate(self, network: nn.Module, dtype: torch.dtype | None) -> DetectionReport:
        """Recall at the lowest score with few enough false positives, and average precision."""
        scenes = self._validation_scenes
        judged: list[Judged] = []
        for scene, (boxes, scores) in zip(scenes, self._found(network, dtype, scenes), strict=True):
            known = scene.kinds > 0
            judged.append(judge(boxes, scores, scene.boxes[known].astype(float), scene.kinds[known] == FACE))
        result = Judged.joined(judged)
        # The lowest score with few enough false faces.
        false = np.sort(result.scores[~result.hits])[::-1]
        allowed = int(_ALLOWED_FALSE * result.photos)
        score = float(np.nextafter(false[allowed], 2)) if len(false) > allowed else 0.0
        recall = result.recall(score)
        return DetectionReport(recall, score, result.average_precision(), len(result.truth_scores), result.photos)

    def sheet(self, network: nn.Module, pictures: int) -> Image:
        """Validation scenes in a row, true boxes green and found ones yellow."""
        scenes = self._validation_scenes[:pictures]
        found = self._found(network, None, scenes)
        return np.concatenate(
            [
                draw_boxes(scene.image, scene.boxes[scene.kinds == FACE], boxes[scores > 0.3])
                for scene, (boxes, scores) in zip(scenes, found, strict=True)
            ],
            axis=1,
        )

    def save(self, path: Path, network: nn.Module, about: dict[str, Any]) -> None:
        """Write weights that describe themselves."""
        assert isinstance(network, FaceDetector)
        save_detector(path, network, DetectorHeader(self.config.model, about))

    def fingerprint(self) -> dict[str, str]:
        """See ``jvcr.train.task.Task``."""
        return {"labels": self._labels_digest(), "images": self._images_digest}

    @cached_property
    def _images_digest(self) -> str:
        sources = (self.training, self.validation)
        photos = [pixel_digest([photo.image for photo in source.photos]) for source in sources]
        return " ".join([*photos, *(source.crops.image_digest for source in sources)])

    def _labels_digest(self) -> str:
        digest = hashlib.sha256()
        for sources in (self.training, self.validation):
            names = [photo.name for photo in sources.photos]
            digest.update(json.dumps([names, sources.crops.names]).encode())
            for photo in sources.photos:
                digest.update(photo.boxes.tobytes() + photo.sure.tobytes())
            digest.update(np.ascontiguousarray(sources.crops.points).tobytes())
        return digest.hexdigest()

    @cached_property
    def _validation_scenes(self) -> list[Scene]:
        """The same ones each time, of other photographs and faces than those of the training."""
        rates = scene_rates(self.validation.crops, self.config.scenes.sampling)
        how, size = self.config.scenes, self.config.model.image_size
        return [
            compose(self.validation, size, how, rates, np.random.default_rng((k, 5))) for k in range(_VALIDATION_SCENES)
        ]

    def _found(
        self, network: nn.Module, dtype: torch.dtype | None, scenes: list[Scene]
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Boxes and scores in each scene."""
        assert isinstance(network, FaceDetector)
        device = next(network.parameters()).device
        inference = DetectorInference(network)
        for start in range(0, len(scenes), 16):
            images = torch.from_numpy(np.stack([s.image for s in scenes[start : start + 16]])).to(device)
            with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype is not None):
                cells = inference(images).float().cpu().numpy()
            for picture in cells:
                found = decode(picture, 0.02)
                kept = nms([Box(*row) for row in found.boxes.tolist()], found.scores.tolist(), SAME_FACE)
                yield found.boxes[kept], found.scores[kept]


def _mined(weights: Path, photos: Sequence[Image], size_px: int) -> HardNegatives:
    network, _ = load_detector(weights)
    inference = DetectorInference(network).eval()

    def cells(pictures: Image) -> NDArray[np.float32]:
        with torch.inference_mode():
            return np.concatenate([inference(torch.from_numpy(part)).numpy() for part in np.array_split(pictures, 4)])

    return mine(cells, photos, size_px, _HARD_SCORE)


class _Scenes(Dataset[Scene]):
    """Scene number k: only the seed and k decide."""

    def __init__(self, sources: SceneSources, config: DetectConfig, rates: NDArray[np.float64]) -> None:
        self.sources, self.config, self.rates = sources, config, rates

    def __getitem__(self, number: int) -> Scene:
        rng = np.random.default_rng((self.config.seed, number, 4))
        return compose(self.sources, self.config.model.image_size, self.config.scenes, self.rates, rng)


class _Numbers:
    """Numbers of the scenes of batches ``first``, ``first + 1``, …; of each those in ``share``."""

    def __init__(self, batch_size: int, first: int, share: slice) -> None:
        self.batch_size, self.first, self.share = batch_size, first, share

    def __iter__(self) -> Iterator[list[int]]:
        start = self.first * self.batch_size
        while True:
            yield list(range(start, start + self.batch_size))[self.share]
            start += self.batch_size


def _collate(scenes: list[Scene]) -> SceneBatch:
    kinds = torch.from_numpy(np.stack([scene.kinds for scene in scenes]))
    return SceneBatch(
        torch.from_numpy(np.stack([scene.image for scene in scenes])),
        torch.from_numpy(np.stack([scene.boxes for scene in scenes])),
        kinds,
        torch.from_numpy(np.stack([scene.roll_deg for scene in scenes])),
        (kinds == FACE).sum(dim=1).float(),
    )
