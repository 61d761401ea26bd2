/**
 * The coordinate frames and every conversion between them. Half-pixel arithmetic lives here only.
 *
 *     image   pixels of the photo. x right, y down, z away from the camera, all in the same pixel unit.
 *     crop    pixels of the square that the network sees. z in the same (crop) pixel unit, 0 at the crop's mid-depth.
 *     unit    0…1 across the crop's square (and 0…1 through its cube in depth; 0.5 is z = 0).
 *     vox     voxels of a D×H×W volume.
 *
 * An integer coordinate is the centre of a pixel or voxel. The twin of `jvcr.frames`.
 */
import { CONSTANTS, type CropRuleValues } from "./constants.ts";
import { radians } from "./numbers.ts";

/** x, y, z. */
export type Point = [number, number, number];
export type Points = readonly Readonly<Point>[];

/** The coordinate of the middle of `size` samples. Of 4 pixels, 0 to 3, it is 1.5. */
export function middleOf(size: number): number {
  return size / 2 - 0.5;
}

/** Where `size` samples begin and end. 4 pixels reach from -0.5 to 3.5. */
export function borders(size: number): [number, number] {
  return [-0.5, size - 0.5];
}

/** Whether a point lies on an image of this size: its pixels reach half a pixel beyond their centres. */
export function isInside([x, y]: Readonly<Point>, width: number, height: number): boolean {
  const [[left, right], [top, bottom]] = [borders(width), borders(height)];
  return x >= left && x < right && y >= top && y < bottom;
}

/** Diagonal of the 2D bounding box of landmarks. */
export function diagonal(points: Points): number {
  const extents = [0, 1].map((axis) => {
    const values = points.map((point) => point[axis]);
    return Math.max(...values) - Math.min(...values);
  });
  return Math.max(Math.hypot(...extents), 1e-6);
}

/** Coordinate on a grid → on the grid with `factor` times as many samples over the same extent. */
export function rescaled(coordinate: number, factor: number): number {
  return (coordinate + 0.5) * factor - 0.5;
}

/** Share 0…1 of an extent of `size` samples → coordinate. */
export function shareToPx(share: number, size: number): number {
  return share * size - 0.5;
}

/** A landmark box: tight around the landmarks, image pixels. Throws if it is empty or not finite. */
export class Box {
  constructor(
    readonly x0: number,
    readonly y0: number,
    readonly x1: number,
    readonly y1: number,
  ) {
    const values = `box (${[x0, y0, x1, y1].join(", ")})`;
    if (![x0, y0, x1, y1].every(Number.isFinite)) {
      throw new RangeError(`${values} contains a value that is not finite; expected x0, y0, x1, y1 in pixels`);
    }
    if (x1 <= x0 || y1 <= y0) {
      throw new RangeError(`${values} is empty; expected x0 < x1 and y0 < y1 (corners, not width and height)`);
    }
  }

  /** The tight box of points. */
  static around(points: Points): Box {
    const x = points.map((point) => point[0]);
    const y = points.map((point) => point[1]);
    return new Box(Math.min(...x), Math.min(...y), Math.max(...x), Math.max(...y));
  }

  get width(): number {
    return this.x1 - this.x0;
  }

  get height(): number {
    return this.y1 - this.y0;
  }

  /** Its longer side, pixels. */
  get longer(): number {
    return Math.max(this.width, this.height);
  }

  get centre(): [number, number] {
    return [(this.x0 + this.x1) / 2, (this.y0 + this.y1) / 2];
  }

  /** Intersection over union, 0…1. */
  iou(other: Box): number {
    const width = Math.min(this.x1, other.x1) - Math.max(this.x0, other.x0);
    const height = Math.min(this.y1, other.y1) - Math.max(this.y0, other.y0);
    if (width <= 0 || height <= 0) return 0;
    const intersection = width * height;
    return intersection / (this.width * this.height + other.width * other.height - intersection);
  }

  /** Whether any of the box lies on the image. */
  meets(imageWidth: number, imageHeight: number): boolean {
    const [left, right] = borders(imageWidth);
    const [top, bottom] = borders(imageHeight);
    return this.x1 > left && this.y1 > top && this.x0 < right && this.y0 < bottom;
  }

  toList(): [number, number, number, number] {
    return [this.x0, this.y0, this.x1, this.y1];
  }
}

/** Side of a crop: `factor` times the longer side of the box, or its width. */
export class CropRule {
  constructor(
    readonly factor: number,
    readonly by: string,
  ) {
    if ((by !== "longer" && by !== "width") || factor <= 0) {
      throw new RangeError(`crop rule ${factor}, "${by}": expected a positive factor, by "longer" or by "width"`);
    }
  }

  static from(values: CropRuleValues): CropRule {
    return new CropRule(values.factor, values.by);
  }

  /** Side of the crop around this box, image pixels. */
  side(box: Box): number {
    return this.factor * (this.by === "width" ? box.width : box.longer);
  }
}

/** The project's default. */
export const CROP_RULE = CropRule.from(CONSTANTS.frames.crop_rule);

/** Two rows of an affine map of the plane. */
export type Affine = readonly [number, number, number, number, number, number];

/** A square on the image, possibly rotated, sampled at `size_px` × `size_px`. The fields are those of `jvcr.frames`. */
export class Crop {
  constructor(
    readonly centre_x: number,
    readonly centre_y: number,
    readonly side_px: number,
    readonly size_px: number,
    readonly rotation_deg = 0,
    readonly centre_z = 0,
  ) {}

  /** A crop centred on the landmark box; its side by the rule. */
  static fromBox(box: Box, sizePx: number, rotationDeg = 0, rule = CROP_RULE): Crop {
    const [x, y] = box.centre;
    return new Crop(x, y, rule.side(box), sizePx, rotationDeg);
  }

  /** A crop around landmarks; the rule uses their box after rotation by `rotationDeg`. */
  static around(pointsImg: Points, sizePx: number, rotationDeg = 0, rule = CROP_RULE): Crop {
    const frame = Crop.fromBox(Box.around(pointsImg), sizePx, rotationDeg, rule);
    const turned = Box.around(frame.toCrop(pointsImg));
    const [centre] = frame.toImage([[...turned.centre, 0]]);
    return new Crop(centre[0], centre[1], (rule.side(turned) * frame.side_px) / sizePx, sizePx, rotationDeg);
  }

  /** The same square on an image that was cut at (left, top) and then reduced `factor` times. */
  reduced(left: number, top: number, factor: number): Crop {
    const x = rescaled(this.centre_x - left, 1 / factor);
    const y = rescaled(this.centre_y - top, 1 / factor);
    return new Crop(x, y, this.side_px / factor, this.size_px, this.rotation_deg, this.centre_z / factor);
  }

  /** The same square with another mid-depth, image pixels. */
  atDepth(centreZ: number): Crop {
    return new Crop(this.centre_x, this.centre_y, this.side_px, this.size_px, this.rotation_deg, centreZ);
  }

  /** The same square with its mid-depth `shiftPx` image pixels further from the camera. */
  movedInDepth(shiftPx: number): Crop {
    return this.atDepth(this.centre_z + shiftPx);
  }

  /** Affine map, image (x, y) → crop (x, y). */
  get matrix(): Affine {
    const scale = this.size_px / this.side_px;
    const c = scale * Math.cos(radians(this.rotation_deg));
    const s = scale * Math.sin(radians(this.rotation_deg));
    const centre = middleOf(this.size_px);
    const [x, y] = [this.centre_x, this.centre_y];
    return [c, -s, centre - c * x + s * y, s, c, centre - s * x - c * y];
  }

  /** Image → crop pixels. Inverse of `toImage`. */
  toCrop(pointsImg: Points): Point[] {
    const [a, b, tx, c, d, ty] = this.matrix;
    const scale = this.size_px / this.side_px;
    return pointsImg.map(([x, y, z]) => [a * x + b * y + tx, c * x + d * y + ty, (z - this.centre_z) * scale]);
  }

  /** Crop → image pixels. Inverse of `toCrop`. */
  toImage(pointsCrop: Points): Point[] {
    const [a, b, tx, c, d, ty] = inverted(this.matrix);
    const scale = this.side_px / this.size_px;
    return pointsCrop.map(([x, y, z]) => [a * x + b * y + tx, c * x + d * y + ty, z * scale + this.centre_z]);
  }
}

/** The inverse of an affine map. */
export function inverted([a, b, tx, c, d, ty]: Affine): Affine {
  const determinant = a * d - b * c;
  const [p, q, r, s] = [d / determinant, -b / determinant, -c / determinant, a / determinant];
  return [p, q, -p * tx - q * ty, r, s, -r * tx - s * ty];
}

/** Crop pixels → unit. Inverse of `unitToCrop`. */
export function cropToUnit(pointsCrop: Points, sizePx: number): Point[] {
  return pointsCrop.map(([x, y, z]) => [(x + 0.5) / sizePx, (y + 0.5) / sizePx, z / sizePx + 0.5]);
}

/** Unit → crop pixels. Inverse of `cropToUnit`. */
export function unitToCrop(pointsUnit: Points, sizePx: number): Point[] {
  return pointsUnit.map(([x, y, z]) => [x * sizePx - 0.5, y * sizePx - 0.5, (z - 0.5) * sizePx]);
}

/** Unit → voxels of a volume of `shape` (D, H, W). The point (0.5, 0.25, 0.1) of (3, 7, 11) is at (5, 1.25, -0.2). */
export function unitToVox(pointsUnit: Points, [depth, height, width]: readonly [number, number, number]): Point[] {
  return pointsUnit.map(([x, y, z]) => [shareToPx(x, width), shareToPx(y, height), shareToPx(z, depth)]);
}

/** Pixels of an image → pixels of the image enlarged `factor` times; x and y only are moved. */
export function resized(points: Points, factor: number): Point[] {
  return points.map(([x, y, z]) => [rescaled(x, factor), rescaled(y, factor), z]);
}

/** x right, y down, z away → x right, y up, z towards the viewer, the axes of 3D tools. Its own inverse. */
export function yUp(points: Points): Point[] {
  return points.map(([x, y, z]) => [x, -y, -z]);
}

/** The nearest float32 numbers, as Python stores landmarks. */
export function asFloat32(points: Points): Point[] {
  return points.map(([x, y, z]) => [Math.fround(x), Math.fround(y), Math.fround(z)]);
}

/** Where OpenCV's resize reads the middle of sample `index` of a picture `scale` times as small. */
export function resizeSource(index: number, scale: number): number {
  return rescaled(index, scale);
}
