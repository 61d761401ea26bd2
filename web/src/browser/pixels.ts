/** Pictures → pixels, in a worker. */
import { asImage } from "../inputs.ts";
import type { Image } from "../images.ts";
import type { Picture } from "./messages.ts";

let canvas: OffscreenCanvas | undefined;

/** The pixels of a picture, transparency on white. Those of a bitmap are valid until the next call. */
export function pixelsOf(picture: Picture): Image {
  if (!(picture instanceof ImageBitmap)) return asImage(picture);
  const { width, height } = picture;
  canvas ??= new OffscreenCanvas(width, height);
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("the browser gives no 2D canvas in a worker; expected one with OffscreenCanvas");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, 0, 0);
  return new CanvasImage(context, width, height);
}

/** A picture on a canvas. Its pixels are read where they are needed: those of a followed face are few. */
class CanvasImage implements Image {
  readonly channels = 4;
  private all: Uint8ClampedArray | undefined;

  constructor(
    private readonly context: OffscreenCanvasRenderingContext2D,
    readonly width: number,
    readonly height: number,
  ) {}

  get data(): Uint8ClampedArray {
    return (this.all ??= this.read(0, 0, this.width, this.height));
  }

  part(left: number, top: number, right: number, bottom: number): Image {
    const [width, height] = [right - left, bottom - top];
    return { width, height, channels: 4, data: this.read(left, top, width, height) };
  }

  private read(left: number, top: number, width: number, height: number): Uint8ClampedArray {
    return this.context.getImageData(left, top, width, height).data;
  }
}
