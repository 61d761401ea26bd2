/** The frames that a video shows. */

/** How long to wait for a frame before the video is looked at anyway (paused, hidden or ended). */
const PATIENCE_MS = 100;

/** A waiting frame is replaced by a newer one from this age on. Every frame costs a copy. */
const STALE_MS = 20;

/** A frame and its time. Whoever takes it closes it. */
export interface Frame {
  readonly timeS: number;
  readonly bitmap: ImageBitmap;
}

/**
 * New frames, until the video ends or the signal aborts.
 *
 * While the caller is busy with one, the next is copied: it is there when the caller comes back. Frames that nobody had
 * time for are skipped.
 */
export async function* framesOf(video: HTMLVideoElement, signal?: AbortSignal): AsyncGenerator<Frame> {
  const watched = new Watched(video);
  try {
    while (!signal?.aborted && !video.ended) {
      const frame = await watched.next();
      if (frame) yield frame;
    }
  } finally {
    watched.stop();
  }
}

/** Copies the frames that a video shows, and keeps the newest. */
class Watched {
  private waiting: (Frame & { copiedMs: number }) | null = null;
  private lastS = -1;
  private copying = false;
  private stopped = false;
  private ready: () => void = () => undefined;
  private handle = 0;
  private readonly reports: boolean;

  constructor(private readonly video: HTMLVideoElement) {
    this.reports = "requestVideoFrameCallback" in video;
    this.ask();
  }

  /** The newest frame; null if there is none for a while. */
  async next(): Promise<Frame | null> {
    if (!this.waiting) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          void this.copy(this.video.currentTime).then(resolve);
        }, PATIENCE_MS);
        this.ready = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    const frame = this.waiting;
    this.waiting = null;
    return frame;
  }

  stop(): void {
    this.stopped = true;
    this.waiting?.bitmap.close();
    if (this.reports) this.video.cancelVideoFrameCallback(this.handle);
    else cancelAnimationFrame(this.handle);
  }

  /** Be told of the next frame. */
  private ask(): void {
    const shown = (timeS: number): void => {
      void this.copy(timeS);
      this.ask();
    };
    if (this.reports) {
      this.handle = this.video.requestVideoFrameCallback((_, frame) => {
        shown(frame.mediaTime);
      });
    } else {
      this.handle = requestAnimationFrame(() => {
        shown(this.video.currentTime);
      });
    }
  }

  private async copy(timeS: number): Promise<void> {
    const fresh = this.waiting && performance.now() - this.waiting.copiedMs < STALE_MS;
    // Nothing to see yet, the same frame again, or enough to do.
    if (!this.video.videoWidth || timeS === this.lastS || this.copying || fresh) return;
    this.copying = true;
    try {
      const bitmap = await createImageBitmap(this.video);
      this.waiting?.bitmap.close();
      if (this.stopped) {
        bitmap.close();
        return;
      }
      this.lastS = timeS;
      this.waiting = { timeS, bitmap, copiedMs: performance.now() };
      this.ready();
    } finally {
      this.copying = false;
    }
  }
}
