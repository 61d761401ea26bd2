/** The landmarker that pages use: it sends pictures to a worker and gives back faces. */
import { landmarkWeights } from "../constants.ts";
import type { BoxInput, Pixels } from "../inputs.ts";
import type { LandmarkerSettings } from "../landmarker.ts";
import type { Face } from "../results.ts";
import type { TrackedFace, TrackerSettings } from "../video/track.ts";
import { Link } from "./link.ts";
import type { Picture } from "./messages.ts";
import type { Backend, Opened } from "./networks.ts";
import { framesOf } from "./video_frames.ts";

/** Of this script. In a variable, because bundlers take `new URL(…, import.meta.url)` for a file to pack. */
const OWN_SCRIPT = import.meta.url;
const OWN_FOLDER = new URL(".", OWN_SCRIPT);

/** Anything that the browser can draw, an encoded file, or pixels in RGB or RGBA. */
export type ImageInput = ImageBitmapSource | Pixels;

export interface CreateOptions extends LandmarkerSettings {
  /** Name of the landmark network. */
  readonly weights?: string;
  /** Folder of the library's files on the page's host; by default, that of the library's script. */
  readonly base?: string | URL;
  /** Photos are reduced to this on their longer side for the detector. Larger finds smaller faces, and takes longer. */
  readonly detectSize?: number;
  /**
   * What runs the landmark network. `"auto"`: WebGPU if there is a GPU that gives the same landmarks sooner, else WASM.
   * `"wasm"` and `"webgpu"`: that one, or an error.
   */
  readonly backend?: Backend;
  /** Threads of ONNX Runtime. More than 1 needs a cross-origin isolated page; by default up to 4 there, else 1. */
  readonly threads?: number;
}

export interface TrackOptions extends TrackerSettings {
  /** Ends the tracking. */
  readonly signal?: AbortSignal;
}

/** The faces of one frame. */
export interface TrackedFrame {
  /** From 0. */
  readonly index: number;
  /** The video's own time. */
  readonly time_s: number;
  /** The frame itself. It is closed when the next frame is asked for. */
  readonly image: ImageBitmap;
  readonly faces: readonly TrackedFace[];
}

export class Landmarker {
  private trackers = 0;

  private constructor(
    private readonly link: Link,
    /** What runs the landmark network. */
    readonly backend: Opened["backend"],
  ) {}

  /**
   * Start a worker and load the networks.
   *
   * Throws if the weights are unknown, a file is missing or damaged, or the browser has no WASM.
   */
  static async create(options: CreateOptions = {}): Promise<Landmarker> {
    const { weights = "small", base = OWN_FOLDER, detectSize, ...others } = options;
    const { threads = usualThreads(), backend = "auto", ...settings } = others;
    landmarkWeights(weights); // throws if the name is unknown
    const folder = new URL(base, location.href).href;
    if (!folder.endsWith("/")) throw new RangeError(`base is ${folder}; expected a folder, which ends in /`);
    const link = new Link(new URL("worker.js", folder));
    try {
      const opened = await link.ask({ kind: "open", base: folder, weights, detectSize, threads, backend, settings });
      return new Landmarker(link, opened.backend);
    } catch (error) {
      link.close();
      throw error;
    }
  }

  /**
   * The landmarks of every face.
   *
   * @param boxes landmark boxes in image pixels; without, the faces are found.
   * @returns with boxes: one face per box, in their order. Without: best score first; may be [].
   */
  async predict(image: ImageInput, boxes?: readonly BoxInput[]): Promise<Face[]> {
    const picture = await pictureOf(image);
    return this.link.ask({ kind: "predict", picture, boxes }, transferred(picture));
  }

  /** Follow the faces of a playing video, frame by frame. Frames that come while one is looked at are skipped. */
  async *track(video: HTMLVideoElement, options: TrackOptions = {}): AsyncGenerator<TrackedFrame> {
    const { signal, ...settings } = options;
    const tracker = ++this.trackers;
    let index = 0;
    try {
      for await (const { timeS, bitmap } of framesOf(video, signal)) {
        const request = { kind: "track", tracker, picture: bitmap, timeS, settings } as const;
        const { faces, picture } = await this.link.ask(request, [bitmap]);
        yield { index: index++, time_s: timeS, image: picture, faces };
        picture.close();
      }
    } finally {
      await this.link.ask({ kind: "endTrack", tracker }).catch(() => null);
    }
  }

  /** Stop the worker and free its memory. Requests under way fail. */
  close(): void {
    this.link.close();
  }
}

/** Threads need memory that is shared between workers, which browsers give to cross-origin isolated pages only. */
function usualThreads(): number {
  return crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency) : 1;
}

function isPixels(image: ImageInput): image is Pixels {
  return "data" in image && !(image instanceof ImageData);
}

async function pictureOf(image: ImageInput): Promise<Picture> {
  if (isPixels(image)) return image;
  if (image instanceof ImageData) return { width: image.width, height: image.height, data: image.data };
  try {
    // As Python reads it: turned by its EXIF tag, without colour management.
    return await createImageBitmap(image, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch (error) {
    throw new Error(`image: cannot be decoded (${String(error)}); expected a picture that this browser shows`, {
      cause: error,
    });
  }
}

/** Bitmaps are handed over; pixels are copied, because they are the caller's. */
function transferred(picture: Picture): Transferable[] {
  return picture instanceof ImageBitmap ? [picture] : [];
}
