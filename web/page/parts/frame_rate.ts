/** Frames per second, over the last frames. */
const FRAMES = 15;

export class FrameRate {
  private times: number[] = [];

  /** The rate after a frame at this time, milliseconds; 0 for the first one. */
  next(now: number): number {
    this.times = [...this.times, now].slice(-FRAMES);
    const span = now - this.times[0];
    return span > 0 ? (1000 * (this.times.length - 1)) / span : 0;
  }
}
