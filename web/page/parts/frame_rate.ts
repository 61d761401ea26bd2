/** Frames per second, over the last second. */
export class FrameRate {
  private times: number[] = [];

  /** The rate after a frame at this time, milliseconds. */
  next(now: number): number {
    this.times = [...this.times.filter((time) => now - time < 1000), now];
    const span = now - this.times[0];
    return span > 0 ? (1000 * (this.times.length - 1)) / span : 0;
  }
}
