/** Face tracking: periodic detection, following in between, an identity for each face, smoothing (`jvcr.video.track`). */
import { CONSTANTS } from "../constants.ts";
import { Box, type Points } from "../frames.ts";
import type { Image } from "../images.ts";
import { expression } from "../expression.ts";
import { headPose } from "../geometry.ts";
import type { BoxValues, Face } from "../results.ts";
import { smoother, type OneEuro } from "./smooth.ts";

const { keep_score: KEEP_SCORE, same_place: SAME_PLACE, same_face: SAME_FACE } = CONSTANTS.track;

/** The methods of a `Landmarker` that the tracker uses. */
export interface FrameLandmarker {
  findMore(image: Image, known: readonly Box[]): Promise<Face[]>;
  lookAgain(image: Image, landmarks: readonly Points[], mirror: boolean): Promise<(Face | null)[]>;
}

/** A face in a frame. */
export interface TrackedFace {
  /** Number that a face keeps unless it is lost for too long. */
  readonly identity: number;
  /** With smoothed landmarks. */
  readonly face: Face;
  /** Landmarks of this frame alone. */
  readonly raw: Points;
}

/** Settings, with Python's names and defaults. */
export interface TrackerSettings {
  /** 0 gives each frame's own landmarks; up to 1, steadier landmarks with more lag. */
  readonly smooth?: number;
  /** Seconds between detections in the whole frame, which find new faces. */
  readonly detect_every_s?: number;
  /** A face that is found again within this time, near where it was lost, keeps its identity. */
  readonly forget_after_s?: number;
  /** Track at most this many faces, the largest ones. */
  readonly most_faces?: number;
  /** Flip averaging of followed faces, where it pays: less error, for up to twice the network's time. Off by default. */
  readonly mirror?: boolean;
}

class Track {
  smoothed: Points;
  seenS: number;

  constructor(
    readonly identity: number,
    public face: Face,
    private readonly filter: OneEuro | null,
    timeS: number,
  ) {
    this.smoothed = face.landmarks;
    this.seenS = timeS;
  }

  get box(): Box {
    return asBox(this.face.box);
  }

  update(face: Face, timeS: number): void {
    this.face = face;
    this.seenS = timeS;
    this.smoothed = this.filter ? this.filter.filtered(face.landmarks, this.box.longer, timeS) : face.landmarks;
  }
}

/** Follows the faces of one video. Frames must be given one after another. */
export class Tracker {
  /** How often the whole frame was searched. */
  searches = 0;
  private followed: Track[] = [];
  private lost: Track[] = [];
  private searchedS = -Infinity;
  private identities = 0;
  private readonly smooth: number;
  private readonly detectEveryS: number;
  private readonly forgetAfterS: number;
  private readonly mostFaces: number;
  private readonly mirror: boolean;

  constructor(
    private readonly landmarker: FrameLandmarker,
    settings: TrackerSettings = {},
  ) {
    const { smooth = 0.5, detect_every_s = 1, forget_after_s = 1, most_faces = 16, mirror = false } = settings;
    if (!(detect_every_s >= 0 && forget_after_s >= 0 && most_faces >= 1)) {
      throw new RangeError(
        `detect_every_s is ${detect_every_s}, forget_after_s ${forget_after_s}, most_faces ${most_faces}; ` +
          "expected 0 or more, 0 or more, and at least 1",
      );
    }
    smoother(smooth); // throws if out of range
    [this.smooth, this.detectEveryS, this.forgetAfterS] = [smooth, detect_every_s, forget_after_s];
    [this.mostFaces, this.mirror] = [most_faces, mirror];
  }

  /** The faces of the next frame, longest-tracked first. Tracking restarts if time goes back. */
  async next(image: Image, timeS: number): Promise<TrackedFace[]> {
    if (this.followed.some((track) => timeS < track.seenS)) {
      [this.followed, this.lost, this.searchedS] = [[], [], -Infinity];
    }
    await this.follow(image, timeS);
    this.lost = this.lost.filter((track) => timeS - track.seenS <= this.forgetAfterS);
    if (!this.followed.length || this.lost.length || timeS - this.searchedS >= this.detectEveryS) {
      await this.search(image, timeS);
    }
    return this.followed.map((track) => ({
      identity: track.identity,
      face: withLandmarks(track.face, track.smoothed),
      raw: track.face.landmarks,
    }));
  }

  private async follow(image: Image, timeS: number): Promise<void> {
    const faces = await this.landmarker.lookAgain(
      image,
      this.followed.map((track) => track.face.landmarks),
      this.mirror,
    );
    const kept: Track[] = [];
    for (const [index, track] of this.followed.entries()) {
      const face = faces[index];
      if (!face || face.score < KEEP_SCORE || !plausible(track.box, asBox(face.box))) {
        this.lost.push(track);
      } else if (kept.every((other) => asBox(face.box).iou(other.box) <= SAME_FACE)) {
        track.update(face, timeS);
        kept.push(track);
      }
    }
    this.followed = kept;
  }

  private async search(image: Image, timeS: number): Promise<void> {
    this.searches += 1;
    this.searchedS = timeS;
    const found = await this.landmarker.findMore(
      image,
      this.followed.map((track) => track.box),
    );
    for (const face of found.toSorted((a, b) => area(b.box) - area(a.box))) {
      if (this.followed.some((track) => asBox(face.box).iou(track.box) >= SAME_PLACE)) continue;
      if (this.followed.length >= this.mostFaces) break;
      const track = this.known(face) ?? this.fresh(face, timeS);
      track.update(face, timeS);
      this.followed.push(track);
    }
    this.followed.sort((a, b) => a.identity - b.identity);
  }

  /** The nearest lost track within one face size; null if there is none. */
  private known(face: Face): Track | null {
    const box = asBox(face.box);
    const gaps = this.lost.map((track) => gap(track.box, box));
    const nearest = gaps.indexOf(Math.min(...gaps));
    if (nearest < 0 || gaps[nearest] >= box.longer) return null;
    return this.lost.splice(nearest, 1)[0];
  }

  private fresh(face: Face, timeS: number): Track {
    this.identities += 1;
    return new Track(this.identities, face, smoother(this.smooth), timeS);
  }
}

/** The face with other landmarks, and what follows from them. */
function withLandmarks(face: Face, landmarks: Points): Face {
  const { x0, y0, x1, y1 } = Box.around(landmarks);
  return {
    ...face,
    landmarks,
    box: { x0, y0, x1, y1 },
    pose: face.pose && headPose(landmarks),
    expression: face.expression && expression(landmarks),
  };
}

/** Whether the motion is plausible: between frames, a face does not double in size or move by more than its size. */
function plausible(before: Box, now: Box): boolean {
  const ratio = now.longer / before.longer;
  return ratio > 0.6 && ratio < 1.7 && gap(before, now) < Math.max(before.longer, now.longer);
}

function gap(a: Box, b: Box): number {
  return Math.hypot(a.centre[0] - b.centre[0], a.centre[1] - b.centre[1]);
}

function area(box: BoxValues): number {
  return (box.x1 - box.x0) * (box.y1 - box.y0);
}

function asBox({ x0, y0, x1, y1 }: BoxValues): Box {
  return new Box(x0, y0, x1, y1);
}
