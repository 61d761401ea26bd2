/** The picture with its landmarks: a photo, or the frame of a video that they were read from. */
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
  private readonly hint = element("hint", HTMLElement);
  private photo: ImageBitmap | null = null;

  /** Show a photo without landmarks. */
  showPhoto(photo: ImageBitmap): void {
    this.photo?.close();
    this.photo = photo;
    this.reveal();
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

  /** Draw a frame with its own faces. A video below would be ahead of them. */
  drawFrame(frame: ImageBitmap, faces: readonly Face[], selected: number): void {
    this.reveal();
    const context = sized(this.picture, frame.width, frame.height);
    context.drawImage(frame, 0, 0);
    drawFaces(context, faces, 1, selected);
  }

  private reveal(): void {
    this.picture.hidden = false;
    this.hint.hidden = true;
    this.frame.classList.add("full");
  }
}

/** A cleared canvas of a size. */
function sized(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  [canvas.width, canvas.height] = [width, height];
  return canvas.getContext("2d")!;
}
