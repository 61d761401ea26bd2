/** Landmarks drawn over a picture: points on the far side of the head are hollow. */
import { resized } from "../../src/frames.ts";
import { MARKUP_68, type Face } from "../../src/index.ts";
import { css, depthColours } from "./colours.ts";

/**
 * Draw faces on a canvas.
 *
 * @param scale pixels of the canvas for one of the picture.
 * @param selected index of the face with a brighter box.
 */
export function drawFaces(
  context: CanvasRenderingContext2D,
  faces: readonly Face[],
  scale: number,
  selected: number,
): void {
  for (const [index, face] of faces.entries()) drawFace(context, face, scale, index === selected && faces.length > 1);
}

function drawFace(context: CanvasRenderingContext2D, face: Face, scale: number, selected: boolean): void {
  const { x0, y0, x1, y1 } = face.box;
  const size = Math.max(x1 - x0, y1 - y0) * scale;
  const points = resized(face.landmarks, scale);
  context.lineWidth = Math.max(1, size / 220);
  context.strokeStyle = selected ? "white" : "rgb(255 255 255 / 45%)";
  const [[left, top], [right, bottom]] = resized(
    [
      [x0, y0, 0],
      [x1, y1, 0],
    ],
    scale,
  );
  context.strokeRect(left, top, right - left, bottom - top);
  context.strokeStyle = "rgb(255 255 255 / 70%)";
  context.beginPath();
  for (const [a, b] of MARKUP_68.edges) {
    context.moveTo(points[a][0], points[a][1]);
    context.lineTo(points[b][0], points[b][1]);
  }
  context.stroke();
  drawPoints(context, face, points, Math.max(1.8, size / 100));
}

function drawPoints(
  context: CanvasRenderingContext2D,
  face: Face,
  points: readonly (readonly [number, number, number])[],
  radius: number,
): void {
  const colours = depthColours(face.landmarks);
  points.forEach(([x, y], index) => {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = context.strokeStyle = css(colours[index]);
    if (face.hidden[index]) context.stroke();
    else context.fill();
  });
}
