// The camera: one frame after the other goes to the service, the next when the last is answered.

const QUALITY = 0.9;
const WANTED = { video: { width: { ideal: 1280 }, height: { ideal: 720 }, facingMode: "user" }, audio: false };

export class Camera {
  #stream = null;
  #abort = null;

  get running() {
    return this.#stream !== null;
  }

  /**
   * Run until `stop` is called, or a frame fails.
   * @param {(frame: Blob, signal: AbortSignal) => Promise<void>} onFrame resolves when the frame is answered and shown.
   */
  async run(onFrame) {
    const video = await this.#open();
    const canvas = document.createElement("canvas");
    const { signal } = (this.#abort = new AbortController());
    try {
      while (this.running) {
        // A hidden tab gets no animation frames, so the camera pauses there.
        await new Promise(requestAnimationFrame);
        if (this.running) await onFrame(await grab(video, canvas), signal);
      }
    } catch (error) {
      if (error.name !== "AbortError") throw error;
    } finally {
      this.stop();
    }
  }

  stop() {
    this.#abort?.abort();
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
  }

  async #open() {
    // Browsers give the camera only to pages from https or from this machine.
    if (!navigator.mediaDevices) throw new Error("The camera needs https, or a server on this machine (127.0.0.1).");
    this.#stream = await navigator.mediaDevices.getUserMedia(WANTED).catch((error) => {
      throw new Error(reasons[error.name] ?? `The camera cannot be used: ${error.message}`);
    });
    const video = document.createElement("video");
    Object.assign(video, { srcObject: this.#stream, muted: true, playsInline: true });
    await video.play();
    return video;
  }
}

const reasons = {
  NotAllowedError:
    "The browser did not allow the camera. Allow it for this page in the browser’s settings, then try again.",
  NotFoundError: "There is no camera. Connect one, or choose a photo instead.",
  NotReadableError: "The camera is in use by another program. Close it, then try again.",
};

function grab(video, canvas) {
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}
