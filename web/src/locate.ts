/** From crops to landmarks in the image. Every prediction takes this path (`jvcr.locate`). */
import { CONSTANTS } from "./constants.ts";
import {
  asFloat32,
  Box,
  Crop,
  cropToUnit,
  diagonal,
  isInside,
  unitToCrop,
  unitToVox,
  type Point,
  type Points,
} from "./frames.ts";
import { cropTiltDeg, meanHead } from "./geometry.ts";
import { extract, type Image } from "./images.ts";
import { clip, mean, modulo } from "./numbers.ts";
import type { Prediction, Runtime } from "./runtime/base.ts";
import type { Trust } from "./runtime/landmark_confidence.ts";
import { MirrorAveraged } from "./runtime/mirror.ts";
import { averagedCells, sampleCells, volumeShape, type Cells } from "./volume.ts";

const LIMITS = CONSTANTS.locate;

/** One prediction in the image frame. */
export interface LocatedFace {
  /** Image pixels, z away from the camera, z mean 0. */
  readonly points_img: Points;
  /** The compact volume. */
  readonly cells: Cells;
  /** Where the volume lies, in depth too. */
  readonly crop: Crop;
  /** The volume at the landmarks (`heightsAt`). */
  readonly heights: readonly number[];
  /** The agreement of volume and landmarks, 0…1: the mean of the heights. */
  readonly score: number;
}

/** The volume at the predicted points. */
export function heightsAt({ cells, points_unit }: Prediction): number[] {
  return sampleCells(cells, unitToVox(points_unit, volumeShape(cells)));
}

function agreement(heights: readonly number[]): number {
  return clip(mean(heights), 0, 1);
}

/** Visibility and standard deviation (image pixels) of a face's landmarks; null if the weights cannot tell. */
export function trustOf(runtime: Runtime, face: LocatedFace, image: Image): Trust | null {
  const network = runtime.confidence.landmarks;
  if (!network) return null;
  const pointsUnit = cropToUnit(face.crop.toCrop(face.points_img), runtime.image_size);
  const { visibility, sigma } = network.trust(pointsUnit, face.heights);
  const size = diagonal(face.points_img);
  return {
    // A landmark outside the image is not visible.
    visibility: visibility.map((value, i) => (isInside(face.points_img[i], image.width, image.height) ? value : 0)),
    sigma: sigma.map((value) => value * size),
  };
}

/** Run the network on crops of one image, in their order. */
export async function locate(runtime: Runtime, image: Image, crops: readonly Crop[]): Promise<LocatedFace[]> {
  if (!crops.length) return [];
  const predictions = await runtime.run(crops.map((crop) => extract(image, crop)));
  return predictions.map((prediction, index) => located(runtime, crops[index], prediction));
}

function located(runtime: Runtime, crop: Crop, prediction: Prediction): LocatedFace {
  const points = crop.toImage(unitToCrop(prediction.points_unit, runtime.image_size));
  const meanZ = mean(points.map((point) => point[2]));
  const heights = heightsAt(prediction);
  return {
    points_img: asFloat32(points.map(([x, y, z]): Point => [x, y, z - meanZ])),
    cells: prediction.cells,
    crop: crop.movedInDepth(-meanZ),
    heights,
    score: agreement(heights),
  };
}

/** A first pass of `rough` on the given crops, and a second one of `runtime` around its results (`refined`). */
export async function locateTwice(
  runtime: Runtime,
  rough: Runtime,
  image: Image,
  crops: readonly Crop[],
): Promise<LocatedFace[]> {
  const seen = await locate(rough, image, crops);
  const second = seen.map((face, index) => secondCrop(runtime, image, crops[index], face));
  return refined(runtime, image, seen, crops, second);
}

/**
 * The second pass: on the wanted crops, where the crops of the first pass were off (`wellCropped`).
 *
 * A result from a good crop stays. With flip averaging, it is averaged with that of the same crop's mirror image.
 */
export async function refined(
  runtime: Runtime,
  image: Image,
  seen: readonly LocatedFace[],
  crops: readonly Crop[],
  wanted: readonly Crop[],
): Promise<LocatedFace[]> {
  const results: LocatedFace[] = [];
  for (const [index, face] of seen.entries()) {
    if (!wellCropped(crops[index], wanted[index])) {
      results.push(...(await locate(runtime, image, [wanted[index]])));
    } else if (runtime instanceof MirrorAveraged) {
      const [flipped] = await locate(runtime.mirrored, image, [crops[index]]);
      results.push(averagedFaces(runtime, face, flipped));
    } else {
      results.push(face);
    }
  }
  return results;
}

/** Whether a second pass on the wanted crop would hardly be better than one on this crop. */
export function wellCropped(crop: Crop, wanted: Crop): boolean {
  const apart = Math.hypot(crop.centre_x - wanted.centre_x, crop.centre_y - wanted.centre_y);
  return (
    apart < LIMITS.centre_off * wanted.side_px &&
    Math.abs(Math.log(crop.side_px / wanted.side_px)) < LIMITS.size_off &&
    turnedDeg(crop, wanted) < LIMITS.roll_off_deg
  );
}

/** Angle between two crops, 0 to 180. */
export function turnedDeg(crop: Crop, other: Crop): number {
  return Math.abs(modulo(crop.rotation_deg - other.rotation_deg + 180, 360) - 180);
}

/** The mean of two results on the same crop. */
export function averagedFaces(runtime: Runtime, face: LocatedFace, other: LocatedFace): LocatedFace {
  const points_img = asFloat32(face.points_img.map((point, index) => midpoint(point, other.points_img[index])));
  const cells = averagedCells(face.cells, other.cells);
  const crop = face.crop.atDepth((face.crop.centre_z + other.crop.centre_z) / 2);
  const points_unit = cropToUnit(crop.toCrop(points_img), runtime.image_size);
  const heights = heightsAt({ cells, points_unit });
  return { points_img, cells, crop, heights, score: agreement(heights) };
}

function midpoint(a: Readonly<Point>, b: Readonly<Point>): Point {
  return [0.5 * (a[0] + b[0]), 0.5 * (a[1] + b[1]), 0.5 * (a[2] + b[2])];
}

/** The network's crop around landmarks; it shows the head upright, where the markup has a head pose. */
export function uprightCrop(runtime: Runtime, pointsImg: Points): Crop {
  const tilt = meanHead(runtime.markup) === null ? 0 : cropTiltDeg(pointsImg);
  return Crop.around(pointsImg, runtime.image_size, -tilt, runtime.crop_rule);
}

/** The crop of the second pass; the first crop again if the first result is not even on the image. */
function secondCrop(runtime: Runtime, image: Image, crop: Crop, seen: LocatedFace): Crop {
  const there = Box.around(seen.points_img).meets(image.width, image.height);
  return there ? uprightCrop(runtime, seen.points_img) : crop;
}
