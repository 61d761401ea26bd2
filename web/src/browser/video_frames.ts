/** The frames that a video shows. */

/** The time of each new frame, in seconds, until the video ends or the signal aborts. */
export async function* framesOf(video: HTMLVideoElement, signal?: AbortSignal): AsyncGenerator<number> {
  let last = -1;
  while (!signal?.aborted && !video.ended) {
    const timeS = await nextFrame(video);
    // Nothing to see yet, or the same frame again.
    if (!video.videoWidth || timeS === last) continue;
    last = timeS;
    yield timeS;
  }
}

/** Waits for the next frame, or a tenth of a second where none comes (paused, hidden or ended). */
function nextFrame(video: HTMLVideoElement): Promise<number> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      resolve(video.currentTime);
    }, 100);
    const seen = (timeS: number): void => {
      clearTimeout(timer);
      resolve(timeS);
    };
    if ("requestVideoFrameCallback" in video) {
      video.requestVideoFrameCallback((_, frame) => {
        seen(frame.mediaTime);
      });
    } else {
      requestAnimationFrame(() => {
        seen((video as HTMLVideoElement).currentTime);
      });
    }
  });
}
