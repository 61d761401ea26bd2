/** 3D facial landmarks in the browser, on the visitor's own machine. */
export {
  Landmarker,
  type CreateOptions,
  type ImageInput,
  type TrackOptions,
  type TrackedFrame,
} from "./browser/client.ts";
export type { Expression } from "./expression.ts";
export type { Point, Points } from "./frames.ts";
export type { HeadPose } from "./geometry.ts";
export type { BoxInput, Pixels } from "./inputs.ts";
export { MARKUP_68, Markup } from "./markup.ts";
export { toDict, type BoxValues, type Face } from "./results.ts";
export type { TrackedFace } from "./video/track.ts";
