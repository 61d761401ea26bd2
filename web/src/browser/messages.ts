/** What the page and the worker say to each other. */
import type { BoxInput, Pixels } from "../inputs.ts";
import type { LandmarkerSettings } from "../landmarker.ts";
import type { Face } from "../results.ts";
import type { Backend, Opened } from "./networks.ts";
import type { TrackedFace, TrackerSettings } from "../video/track.ts";

/** A decoded picture: a bitmap, which is closed after use, or pixels. */
export type Picture = ImageBitmap | Pixels;

export interface OpenRequest {
  readonly kind: "open";
  /** Folder of the library's files. */
  readonly base: string;
  readonly weights: string;
  readonly detectSize: number | undefined;
  readonly threads: number;
  readonly backend: Backend;
  readonly settings: LandmarkerSettings;
}

export interface PredictRequest {
  readonly kind: "predict";
  readonly picture: Picture;
  readonly boxes: readonly BoxInput[] | undefined;
}

export interface TrackRequest {
  readonly kind: "track";
  readonly tracker: number;
  readonly picture: ImageBitmap;
  readonly timeS: number;
  readonly settings: TrackerSettings;
}

export interface EndTrackRequest {
  readonly kind: "endTrack";
  readonly tracker: number;
}

export type Request = OpenRequest | PredictRequest | TrackRequest | EndTrackRequest;

/** The faces of a frame, and the frame, which goes back to the page. */
export interface TrackedPicture {
  readonly faces: TrackedFace[];
  readonly picture: ImageBitmap;
}

/** What the landmark network runs on. */
export type OpenAnswer = Pick<Opened, "backend">;

/** What each kind of request is answered with. */
export interface Answers {
  open: OpenAnswer;
  predict: Face[];
  track: TrackedPicture;
  endTrack: null;
}

export type Envelope = Request & { readonly id: number };

export type Answer =
  { readonly id: number; readonly value: Answers[keyof Answers] } | { readonly id: number; readonly error: string };
