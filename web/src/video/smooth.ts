/** Landmarks over time without jitter: the One-Euro filter (Casiez, Roussel and Vogel, CHI 2012; `jvcr.video.smooth`). */
import { CONSTANTS } from "../constants.ts";
import { asFloat32, type Point, type Points } from "../frames.ts";

const SPEED_CUTOFF_HZ = CONSTANTS.smooth.speed_cutoff_hz;

/** Low-pass filter of points: strong while they are still, weak while they move. One filter follows one face. */
export class OneEuro {
  private points: Point[] | null = null;
  private velocity: Point[] = [];
  private timeS = 0;

  /**
   * @param cutoffHz for a point at rest; lower is steadier and lags more at the start of a motion.
   * @param speedGain Hz per face size per second; a higher value lags less in motion.
   */
  constructor(
    private readonly cutoffHz: number,
    private readonly speedGain: number,
  ) {
    if (!(cutoffHz > 0 && speedGain >= 0)) {
      throw new RangeError(`cutoff is ${cutoffHz} Hz and speed gain ${speedGain}; expected more than 0, and 0 or more`);
    }
  }

  /** The filtered points at `timeS`. The filter restarts if time does not increase. */
  filtered(now: Points, sizePx: number, timeS: number): Point[] {
    const step = timeS - this.timeS;
    this.timeS = timeS;
    if (this.points === null || step <= 0) {
      this.points = now.map((point) => [...point]);
      this.velocity = now.map(() => [0, 0, 0]);
    } else {
      this.points.forEach((point, index) => {
        this.advance(point, this.velocity[index], now[index], step, sizePx);
      });
    }
    return asFloat32(this.points);
  }

  /** Move one point and its velocity. */
  private advance(point: Point, velocity: Point, now: Readonly<Point>, step: number, sizePx: number): void {
    const speedShare = share(SPEED_CUTOFF_HZ, step);
    for (let axis = 0; axis < 3; axis++) {
      velocity[axis] += speedShare * ((now[axis] - point[axis]) / (step * sizePx) - velocity[axis]);
    }
    const pointShare = share(this.cutoffHz + this.speedGain * Math.hypot(...velocity), step);
    for (let axis = 0; axis < 3; axis++) point[axis] += pointShare * (now[axis] - point[axis]);
  }
}

/** Weight of the new value in one step, 0…1. */
function share(cutoffHz: number, stepS: number): number {
  return 1 / (1 + 1 / (2 * Math.PI * cutoffHz * stepS));
}

/** The filter of a strength: 0 is off (null), 1 the steadiest. */
export function smoother(strength: number): OneEuro | null {
  if (!(strength >= 0 && strength <= 1)) throw new RangeError(`smooth is ${strength}; expected 0 (off) to 1`);
  if (strength === 0) return null;
  // From 8 Hz, hardly any filtering at 30 frames/s, to 0.5 Hz.
  return new OneEuro(8 * (0.5 / 8) ** strength, 20 * (4 / 20) ** strength);
}
