"""Face search: a detector proposes boxes, the landmark network verifies and refines them."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from jvcr.detect.base import CloseUpDetector, Detector, Proposal, as_proposals, nms
from jvcr.detect.network import LIKELY_SCORE
from jvcr.distinct import distinct
from jvcr.frames import Box, Crop
from jvcr.images import Image
from jvcr.locate import (
    NO_CELLS,
    LocatedFace,
    Look,
    locate_many,
    mean_sigma,
    second_look,
    second_results,
    turned_deg,
    upright_crop,
)
from jvcr.runtime.base import Runtime
from jvcr.runtime.mirror import MirrorAveraged


@dataclass(frozen=True)
class SearchPolicy:
    """Which candidates get another forward pass, and which are kept. Chosen on held-out photographs (docs/LOG.md).

    Attributes:
        min_score: faces with a lower score are dropped.
        same_face_iou: two results whose boxes have a larger IoU are the same face.
        first_look_iou: the same limit after the first pass. It is looser, because crops are not centred yet.
        may_grow: largest factor by which the last pass is expected to raise the agreement of landmarks and volume, and
            to lower σ. A candidate that could not reach ``min_score`` even so gets no last pass.
        turned_deg: a head that is rotated by more than this in the crop of the first pass has low agreement and a large
            σ there. It gets an extra pass before the last one.
        may_grow_turned, may_settle_turned: the factors of agreement and σ for such a head.
        likely_score: proposals with a lower detector score are skipped when a face was already found.
    """

    min_score: float = 0.55
    same_face_iou: float = 0.4
    first_look_iou: float = 0.7
    may_grow: float = 1.25
    turned_deg: float = 45.0
    may_grow_turned: float = 2.0
    may_settle_turned: float = 10.0
    likely_score: float = LIKELY_SCORE


DEFAULT_POLICY = SearchPolicy()


class FoundFace(NamedTuple):
    """located: result of the last pass. box: around its landmarks. score: the probability that it is a face."""

    located: LocatedFace
    box: Box
    score: float


class Passes(NamedTuple):
    """Forward passes that a search asks for: one on each crop of its photo."""

    kind: Look
    crops: list[Crop]


_Result = TypeVar("_Result")
_Search = Generator[Passes, list[LocatedFace], _Result]
"""The search in one photo. It asks for forward passes and is sent their results, so that many photos can share one."""


class FaceFinder:
    """Finds the faces of photos.

    Args:
        runtime: runs all passes but the last. They only need to find the position.
        last_look: runs the last pass.
        refine: run a second pass on an upright crop centred on the first prediction.
        min_score: replaces the policy's.
    """

    def __init__(
        self,
        runtime: Runtime,
        last_look: Runtime,
        detector: Detector,
        *,
        refine: bool,
        batch_size: int,
        min_score: float,
        policy: SearchPolicy = DEFAULT_POLICY,
    ) -> None:
        self._runtime, self._last_look, self._detector = runtime, last_look, detector
        self._refine, self._batch_size, self._min_score, self._policy = refine, batch_size, min_score, policy
        self._runtimes = {Look.FIRST: runtime, Look.LAST: last_look}
        if isinstance(last_look, MirrorAveraged):
            self._runtimes[Look.MIRRORED] = last_look.mirrored

    def __call__(self, image: Image, volumes: bool = True) -> list[FoundFace]:
        """(H, W, 3) uint8 RGB → faces, best score first. ``volumes`` keeps the volumes; otherwise they are empty."""
        return self.many([image], volumes)[0]

    def beside(self, image: Image, known: Sequence[Box]) -> list[FoundFace]:
        """Faces beside known ones: proposals on a known box are not looked at. Without volumes."""
        return self._run([(image, self._faces(image, known))], False)[0]

    def many(self, images: Sequence[Image], volumes: bool = True) -> list[list[FoundFace]]:
        """The faces of each of several photos. Crops of all photos share forward passes."""
        return self._run([(image, self._faces(image)) for image in images], volumes)

    def candidates(self, image: Image) -> list[tuple[LocatedFace, Proposal]]:
        """The last result for each proposal that survives the first pass, with the proposal; before the final NMS."""
        return self._run([(image, self._looked_at(image, as_proposals(self._detector(image))))], True)[0]

    def _run(self, searches: Sequence[tuple[Image, _Search[_Result]]], volumes: bool) -> list[_Result]:
        """Advance all searches step by step until each has returned."""
        results: dict[int, _Result] = {}
        asked: dict[int, Passes] = {}

        def advance(number: int, answer: list[LocatedFace] | None) -> None:
            try:
                search = searches[number][1]
                asked[number] = next(search) if answer is None else search.send(answer)
            except StopIteration as end:
                results[number] = end.value

        for number in range(len(searches)):
            advance(number, None)
        while asked:
            waiting, asked = asked, {}
            for kind, runtime in self._runtimes.items():
                of_kind = {number: passes.crops for number, passes in waiting.items() if passes.kind is kind}
                work = ((searches[number][0], crop) for number, crops in of_kind.items() for crop in crops)
                located = locate_many(runtime, work, self._batch_size)
                answers = {
                    number: [
                        # A volume is a view of its whole batch, and would keep all of it in memory.
                        face if volumes or kind is not Look.LAST else face._replace(cells=NO_CELLS)
                        for _, face in zip(crops, located, strict=False)
                    ]
                    for number, crops in of_kind.items()
                }
                for number, answer in answers.items():
                    advance(number, answer)
        return [results[number] for number in range(len(searches))]

    def _faces(self, image: Image, known: Sequence[Box] = ()) -> _Search[list[FoundFace]]:
        proposals = [one for one in as_proposals(self._detector(image)) if not _is_on(one.box, known)]
        likely = [p for p in proposals if p.score is None or p.score >= self._policy.likely_score]
        candidates = yield from self._looked_at(image, likely)
        faces = self._kept(image, candidates)
        if known:
            return faces
        # Skip unlikely proposals when a face was already found; this saves forward passes.
        if len(likely) < len(proposals) and not any(face.score >= self._policy.min_score for face in faces):
            candidates += yield from self._looked_at(image, [p for p in proposals if p not in likely])
            faces = self._kept(image, candidates)
        if not faces and isinstance(self._detector, CloseUpDetector):
            faces = self._kept(image, (yield from self._looked_at(image, as_proposals(self._detector.close_up(image)))))
        return faces

    def _kept(self, image: Image, candidates: list[tuple[LocatedFace, Proposal]]) -> list[FoundFace]:
        boxes = [Box.around(face.points_img) for face, _ in candidates]
        scores = [self._score(face, proposal) for face, proposal in candidates]
        kept = _kept_on(image, boxes, scores, self._min_score)
        points = [candidates[i][0].points_img for i in kept]
        faces = [FoundFace(candidates[i][0], boxes[i], scores[i]) for i in kept]
        best = distinct(
            points, [f.box for f in faces], [f.score for f in faces], self._runtime.markup, self._policy.same_face_iou
        )
        return [faces[i] for i in best]

    def _looked_at(self, image: Image, proposals: list[Proposal]) -> _Search[list[tuple[LocatedFace, Proposal]]]:
        """The result of the last pass for each proposal that can still reach the minimum score."""
        policy = self._policy
        crops = [
            Crop.from_box(p.box, self._runtime.image_size, -p.roll_deg, self._runtime.crop_rule) for p in proposals
        ]
        if self._refine:
            seen = yield Passes(Look.FIRST, crops)
            agreement = [face.score for face in seen]
            boxes = [Box.around(face.points_img) for face in seen]
            kept = _kept_on(image, boxes, agreement, self._runtime.confidence.least_agreement)
            kept = [kept[i] for i in nms([boxes[i] for i in kept], [agreement[i] for i in kept], policy.first_look_iou)]
            upright = {i: upright_crop(self._runtime, seen[i].points_img) for i in kept}
            turned = [
                i
                for i in kept
                if turned_deg(crops[i], upright[i]) > policy.turned_deg
                and self._score(seen[i], proposals[i], policy.may_grow_turned, policy.may_settle_turned)
                >= self._min_score
            ]
            again = (yield Passes(Look.FIRST, [upright[i] for i in turned])) if turned else []
            for i, face in zip(turned, again, strict=True):
                seen[i], upright[i] = face, upright_crop(self._runtime, face.points_img)
            kept = [
                i
                for i in kept
                if self._score(seen[i], proposals[i], policy.may_grow, policy.may_grow) >= self._min_score
            ]
            located = yield from self._last([seen[i] for i in kept], [upright[i] for i in kept])
            return [(face, proposals[i]) for i, face in zip(kept, located, strict=True)]
        located = yield Passes(Look.LAST, crops)
        return list(zip(located, proposals, strict=True))

    def _last(self, seen: list[LocatedFace], upright: list[Crop]) -> _Search[list[LocatedFace]]:
        """The last pass, by the same rule as ``jvcr.locate.refined``."""
        looks = [second_look(self._last_look, face, crop) for face, crop in zip(seen, upright, strict=True)]
        results = {}
        for look in (Look.LAST, Look.MIRRORED):
            crops = [crop for crop, wanted in zip(upright, looks, strict=True) if wanted is look]
            results[look] = iter((yield Passes(look, crops)) if crops else [])
        return second_results(seen, looks, results)

    def _score(self, face: LocatedFace, proposal: Proposal, grown: float = 1.0, settled: float = 1.0) -> float:
        """The face's score, with its agreement multiplied by one factor, and its σ divided by another."""
        box = Box.around(face.points_img)
        sigma = mean_sigma(self._runtime, face)
        return self._runtime.confidence.score(
            grown * face.score,
            proposal.score,
            max(box.width, box.height),
            None if sigma is None else sigma / settled,
        )


def _is_on(box: Box, known: Sequence[Box]) -> bool:
    """Whether the middle of the box lies in a known box."""
    x, y = box.centre
    return any(one.x0 <= x <= one.x1 and one.y0 <= y <= one.y1 for one in known)


def _kept_on(image: Image, boxes: Sequence[Box], scores: Sequence[float], min_score: float) -> list[int]:
    """Indices of the results that score at least ``min_score`` and whose box overlaps the image."""
    height, width = image.shape[:2]
    return [i for i, box in enumerate(boxes) if scores[i] >= min_score and box.meets(width, height)]
