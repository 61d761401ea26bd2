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
import { sampleCells, volumeShape, type Cells } from "./volume.ts";

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
  const trust = relativeTrust(runtime, face);
  if (!trust) return null;
  const { visibility, sigma } = trust;
  const size = diagonal(face.points_img);
  return {
    // A landmark outside the image is not visible.
    visibility: visibility.map((value, i) => (isInside(face.points_img[i], image.width, image.height) ? value : 0)),
    sigma: sigma.map((value) => value * size),
  };
}

/** Mean standard deviation of a face's landmarks, in diagonals of their box; null if the weights cannot tell. */
export function meanSigma(runtime: Runtime, face: LocatedFace): number | null {
  const trust = relativeTrust(runtime, face);
  return trust && mean(trust.sigma);
}

/** Visibility, and standard deviation in diagonals. */
function relativeTrust(runtime: Runtime, face: LocatedFace): Trust | null {
  const pointsUnit = cropToUnit(face.crop.toCrop(face.points_img), runtime.image_size);
  return runtime.confidence.landmarks?.trust(pointsUnit, face.heights) ?? null;
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
  const wanted = seen.map((face, index) => secondCrop(runtime, image, crops[index], face));
  return refined(runtime, image, seen, wanted);
}

/**
 * The second pass, on the wanted crops, where it pays.
 *
 * A result from a good crop stays. With flip averaging, the second pass is on the mirror image alone, and both results
 * are averaged; only if the first crop was far off, both halves of the average are new.
 */
export async function refined(
  runtime: Runtime,
  image: Image,
  seen: readonly LocatedFace[],
  wanted: readonly Crop[],
): Promise<LocatedFace[]> {
  const results: LocatedFace[] = [];
  for (const [index, face] of seen.entries()) results.push(await second(runtime, image, face, wanted[index]));
  return results;
}

async function second(runtime: Runtime, image: Image, face: LocatedFace, wanted: Crop): Promise<LocatedFace> {
  if (!(runtime instanceof MirrorAveraged)) {
    if (isWithin(LIMITS.good_crop, face.crop, wanted)) return face;
  } else if (isWithin(LIMITS.near_crop, face.crop, wanted)) {
    if (isWithin(LIMITS.sure_crop, face.crop, wanted) && isSure(runtime, face)) return face;
    const [mirrored] = await locate(runtime.mirrored, image, [wanted]);
    return averagedFaces(face, mirrored);
  }
  const [last] = await locate(runtime, image, [wanted]);
  return last;
}

/** Limits of a crop's distance from the wanted one: centre over side, log of the ratio of sides, degrees. */
type CropLimits = (typeof LIMITS)["good_crop"];

function isWithin(limits: CropLimits, crop: Crop, wanted: Crop): boolean {
  const apart = Math.hypot(crop.centre_x - wanted.centre_x, crop.centre_y - wanted.centre_y);
  return (
    apart < limits.centre * wanted.side_px &&
    Math.abs(Math.log(crop.side_px / wanted.side_px)) < limits.size &&
    turnedDeg(crop, wanted) < limits.roll_deg
  );
}

/** Whether the network's own standard deviations say that the result is good. */
function isSure(runtime: Runtime, face: LocatedFace): boolean {
  const sigma = meanSigma(runtime, face);
  return sigma !== null && sigma < LIMITS.sure_sigma;
}

/** Angle between two crops, 0 to 180. */
export function turnedDeg(crop: Crop, other: Crop): number {
  return Math.abs(modulo(crop.rotation_deg - other.rotation_deg + 180, 360) - 180);
}

/** The mean of two results. The crop and the volume are those of the second. */
export function averagedFaces(face: LocatedFace, second: LocatedFace): LocatedFace {
  const points_img = asFloat32(face.points_img.map((point, index) => midpoint(point, second.points_img[index])));
  const others = heightsIn(second, points_img);
  const heights = heightsIn(face, points_img).map((height, index) => 0.5 * (height + others[index]));
  return { ...second, points_img, heights, score: agreement(heights) };
}

/** A face's volume at points in the image frame. */
function heightsIn({ cells, crop }: LocatedFace, pointsImg: Points): number[] {
  return heightsAt({ cells, points_unit: cropToUnit(crop.toCrop(pointsImg), crop.size_px) });
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
