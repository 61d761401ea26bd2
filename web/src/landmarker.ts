/** Image → faces (`jvcr.landmarker`). Runs where it is created: in a worker, or in Node. */
import type { Detector } from "./detect/base.ts";
import { DEFAULT_POLICY, FaceFinder } from "./find.ts";
import { Box, Crop, type Points } from "./frames.ts";
import { checkBoxes, type BoxInput } from "./inputs.ts";
import type { Image } from "./images.ts";
import { locate, locateTwice, trustOf, uprightCrop, type LocatedFace } from "./locate.ts";
import type { Markup } from "./markup.ts";
import { makeFace, type Face } from "./results.ts";
import type { Runtime } from "./runtime/base.ts";
import { MirrorAveraged } from "./runtime/mirror.ts";

/** Settings, with Python's names and defaults. */
export interface LandmarkerSettings {
  /** Faces of the detector with a lower score are dropped. Faces of given boxes never are. */
  readonly min_score?: number;
  /** Where the first crop was off, run a second pass on an upright crop around the first prediction. */
  readonly refine?: boolean;
  /** Flip averaging where it pays: less error for up to twice the network's time. */
  readonly mirror?: boolean;
}

export class Landmarker {
  private readonly lastLook: Runtime;
  private readonly refine: boolean;
  private readonly mirror: boolean;
  private readonly finder: FaceFinder;

  constructor(
    private readonly runtime: Runtime,
    detector: Detector,
    settings: LandmarkerSettings = {},
  ) {
    const { min_score = DEFAULT_POLICY.min_score, refine = true, mirror = true } = settings;
    if (Number.isNaN(min_score)) throw new RangeError("min_score is NaN; expected a number, 0…1");
    [this.refine, this.mirror] = [refine, mirror];
    // The passes before the last only need to find the position.
    this.lastLook = mirror ? new MirrorAveraged(runtime) : runtime;
    this.finder = new FaceFinder(runtime, this.lastLook, detector, { refine, min_score });
  }

  get markup(): Markup {
    return this.runtime.markup;
  }

  /** With boxes: one face per box, in their order. Without: the faces that are found, best score first. */
  async predict(image: Image, boxes?: readonly BoxInput[]): Promise<Face[]> {
    if (boxes) return this.inBoxes(image, checkBoxes(boxes, image));
    return this.findMore(image, []);
  }

  /** The faces beside known ones, best score first. Detections whose middle lies in a known box are not looked at. */
  async findMore(image: Image, known: readonly Box[]): Promise<Face[]> {
    const found = await this.finder.faces(image, known);
    return found.map(({ located, box, score }) => this.face(image, located, box, score));
  }

  /**
   * Look at faces whose landmarks are approximately known; null for one that has left the image.
   *
   * @param mirror flip averaging, where it pays; without, one forward pass for each face.
   */
  async lookAgain(image: Image, landmarks: readonly Points[], mirror = this.mirror): Promise<(Face | null)[]> {
    const faces: (Face | null)[] = [];
    for (const points of landmarks) faces.push(await this.again(image, points, mirror));
    return faces;
  }

  private async again(image: Image, points: Points, mirror: boolean): Promise<Face | null> {
    const { width, height } = image;
    if (!Box.around(points).meets(width, height)) return null;
    const crops = [uprightCrop(this.runtime, points)];
    const [found] = mirror
      ? await locateTwice(this.lastLook, this.runtime, image, crops)
      : await locate(this.runtime, image, crops);
    const box = Box.around(found.points_img);
    return box.meets(width, height) ? this.face(image, found, box, this.runtime.confidence.score(found.score)) : null;
  }

  private async inBoxes(image: Image, boxes: readonly Box[]): Promise<Face[]> {
    const { image_size: size, crop_rule: rule, confidence } = this.runtime;
    const crops = boxes.map((box) => Crop.fromBox(box, size, 0, rule));
    const found = this.refine
      ? await locateTwice(this.lastLook, this.runtime, image, crops)
      : await locate(this.lastLook, image, crops);
    return found.map((located, index) => this.face(image, located, boxes[index], confidence.score(located.score)));
  }

  private face(image: Image, located: LocatedFace, box: Box, score: number): Face {
    const trust = trustOf(this.runtime, located, image);
    return makeFace(located.points_img, box, score, located.crop, this.markup, trust);
  }
}
