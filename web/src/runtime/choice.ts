/** Choosing between two runtimes of the same network. */
import { Described, type Prediction, type Runtime } from "./base.ts";

/** Largest difference of a landmark, in crop sides: an eighth of a pixel of 128. */
const LARGEST_DIFFERENCE = 1e-3;

const RUNS = 5;

/** Whether `candidate` gives the same landmarks as `trusted` on one crop, and sooner. Errors count as no. */
export async function isRightAndFaster(candidate: Runtime, trusted: Runtime): Promise<boolean> {
  try {
    const crop = testCrop(trusted.image_size);
    const [expected] = await trusted.run([crop]);
    const [found] = await candidate.run([crop]);
    if (!(difference(found, expected) <= LARGEST_DIFFERENCE)) return false;
    return (await medianMs(candidate, crop)) < (await medianMs(trusted, crop));
  } catch {
    return false;
  }
}

/** Runs on `preferred` until that fails, and on `other` from then on: a GPU may be lost at any time. */
export class FallingBack extends Described implements Runtime {
  private failed = false;

  constructor(
    private readonly preferred: Runtime,
    private readonly other: Runtime,
  ) {
    super(other);
  }

  async run(crops: readonly Uint8Array[]): Promise<Prediction[]> {
    if (!this.failed) {
      try {
        return await this.preferred.run(crops);
      } catch {
        this.failed = true;
      }
    }
    return this.other.run(crops);
  }
}

/** Waves of different lengths in the three colours: edges in all directions, and no face. */
function testCrop(size: number): Uint8Array {
  const crop = new Uint8Array(3 * size * size);
  for (let y = 0, at = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      for (const length of [5, 13, 31]) crop[at++] = 128 + 100 * Math.sin((x + y / 2) / length) * Math.cos(y / length);
    }
  }
  return crop;
}

function difference(some: Prediction, others: Prediction): number {
  const apart = some.points_unit.flatMap((point, index) =>
    point.map((value, axis) => Math.abs(value - others.points_unit[index][axis])),
  );
  return Math.max(...apart);
}

async function medianMs(runtime: Runtime, crop: Uint8Array): Promise<number> {
  const times: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    await runtime.run([crop]);
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[RUNS >> 1];
}
