/** Flip averaging: run a network on each crop and its mirror image (`jvcr.runtime.mirror`). */
import type { Point } from "../frames.ts";
import type { Markup } from "../markup.ts";
import { averagedCells, mirroredCells } from "../volume.ts";
import { Described, type Prediction, type Runtime } from "./base.ts";

/** Predicts on the mirror images of the crops, and flips the predictions back. */
export class Mirrored extends Described implements Runtime {
  constructor(private readonly runtime: Runtime) {
    super(runtime);
  }

  async run(crops: readonly Uint8Array[]): Promise<Prediction[]> {
    const predictions = await this.runtime.run(crops.map((crop) => mirroredCrop(crop, this.image_size)));
    return predictions.map((prediction) => flippedBack(prediction, this.markup));
  }
}

/** Averages the predictions for a crop and its mirror image. Lower error for twice the time. */
export class MirrorAveraged extends Described implements Runtime {
  /** The half that predicts on the mirror images. */
  readonly mirrored: Mirrored;

  constructor(private readonly runtime: Runtime) {
    super(runtime);
    this.mirrored = new Mirrored(runtime);
  }

  async run(crops: readonly Uint8Array[]): Promise<Prediction[]> {
    const straight = await this.runtime.run(crops);
    const flipped = await this.mirrored.run(crops);
    return straight.map((prediction, index) => averaged(prediction, flipped[index]));
  }
}

/** The mean of two predictions on the same crop. */
export function averaged(some: Prediction, others: Prediction): Prediction {
  const points_unit = some.points_unit.map((point, index): Point => {
    const other = others.points_unit[index];
    return [0.5 * (point[0] + other[0]), 0.5 * (point[1] + other[1]), 0.5 * (point[2] + other[2])];
  });
  return { cells: averagedCells(some.cells, others.cells), points_unit };
}

function mirroredCrop(crop: Uint8Array, size: number): Uint8Array {
  const out = new Uint8Array(crop.length);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const from = 3 * (y * size + size - 1 - x);
      out.set(crop.subarray(from, from + 3), 3 * (y * size + x));
    }
  }
  return out;
}

function flippedBack(prediction: Prediction, markup: Markup): Prediction {
  const points_unit = markup.mirror.map((partner): Point => {
    const [x, y, z] = prediction.points_unit[partner];
    return [1 - x, y, z];
  });
  return { cells: mirroredCells(prediction.cells), points_unit };
}
