// The square around a face, cut out of the photo: for the skin of the 3D shape, and for small pictures.

import { squareAround } from "./frames.js";

/** Draw the square of `picture` around `box` onto a canvas of `size` × `size` pixels; beyond the photo it is dark. */
export function cutOut(canvas, picture, record, box, size) {
  const square = squareAround(box);
  canvas.width = canvas.height = size;
  const context = canvas.getContext("2d");
  context.fillStyle = "#0d0f14";
  context.fillRect(0, 0, size, size);
  if (!picture) return square;
  const scale = size / square.side;
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, -square.left * scale, -square.top * scale, record.width * scale, record.height * scale);
  return square;
}
