/** The picture with its landmarks: a photo on a canvas, or a video under one. */
import type { Face } from "../../src/index.ts";
import { drawFaces } from "./draw.ts";
import { element } from "./elements.ts";

/** Longer side of the canvas, pixels. */
const LARGEST = 1600;
/** Small photos are enlarged to this, to stay readable. */
const SMALLEST = 700;

export class Stage {
  readonly video = element("video", HTMLVideoElement);
  readonly frame = element("frame", HTMLElement);
  private readonly picture = element("picture", HTMLCanvasElement);
  private readonly overlay = element("overlay", HTMLCanvasElement);
  private readonly hint = element("hint", HTMLElement);
  private photo: ImageBitmap | null = null;

  /** Show a photo without landmarks. */
  showPhoto(photo: ImageBitmap): void {
    this.photo?.close();
    this.photo = photo;
    this.reveal(this.picture);
    this.drawPhoto([], 0);
  }

  /** Draw the photo again, with its faces. */
  drawPhoto(faces: readonly Face[], selected: number): void {
    if (!this.photo) return;
    const { width, height } = this.photo;
    const longer = Math.max(width, height);
    const scale = Math.min(Math.max(1, SMALLEST / longer), LARGEST / longer);
    const context = sized(this.picture, Math.round(width * scale), Math.round(height * scale));
    context.drawImage(this.photo, 0, 0, this.picture.width, this.picture.height);
    drawFaces(context, faces, scale, selected);
  }

  /** Show the video, with an empty overlay. */
  showVideo(): void {
    this.reveal(this.video, this.overlay);
    this.drawVideo([], 0);
  }

  /** Draw the faces of a frame over the video. */
  drawVideo(faces: readonly Face[], selected: number): void {
    const context = sized(this.overlay, this.video.videoWidth, this.video.videoHeight);
    drawFaces(context, faces, 1, selected);
  }

  private reveal(...shown: Element[]): void {
    for (const part of [this.picture, this.video, this.overlay, this.hint]) part.hidden = !shown.includes(part);
    this.frame.classList.add("full");
  }
}

/** A cleared canvas of a size. */
function sized(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  [canvas.width, canvas.height] = [width, height];
  return canvas.getContext("2d")!;
}
