/** Pictures → pixels, in a worker. */
import { asImage } from "../inputs.ts";
import type { Image } from "../images.ts";
import type { Picture } from "./messages.ts";

let canvas: OffscreenCanvas | undefined;

/** The pixels of a picture, transparency on white. */
export function pixelsOf(picture: Picture): Image {
  if (!(picture instanceof ImageBitmap)) return asImage(picture);
  const { width, height } = picture;
  canvas ??= new OffscreenCanvas(width, height);
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d", { willReadFrequently: true, alpha: true });
  if (!context) throw new Error("the browser gives no 2D canvas in a worker; expected one with OffscreenCanvas");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, 0, 0);
  return { width, height, channels: 4, data: context.getImageData(0, 0, width, height).data };
}
