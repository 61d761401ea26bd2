// Coordinates. All conversions of this page are here, and nowhere else.
//
// The service answers in the image frame: pixels of the upright photo, x right, y down, z away from the camera. An
// integer is the centre of a pixel, so the first pixel covers -0.5 to 0.5.

/** Image frame → CSS pixels of a canvas. It shows the photo from `view.left`, `view.top` on, at `view.scale`. */
export function imageToCanvas(view, [x, y]) {
  return [(x + 0.5 - view.left) * view.scale, (y + 0.5 - view.top) * view.scale];
}

/** Inverse of `imageToCanvas`. */
export function canvasToImage(view, [x, y]) {
  return [x / view.scale + view.left - 0.5, y / view.scale + view.top - 0.5];
}

/** Image frame → share of a square cut-out (0…1), from its upper left corner. */
export function imageToShare(square, [x, y]) {
  return [(x + 0.5 - square.left) / square.side, (y + 0.5 - square.top) / square.side];
}

/** The side of the views of a face, in lengths of its box. */
export const FACE_MARGIN = 1.5;

/**
 * The square around a face that the page cuts out, in pixels counted from the photo's upper left corner.
 * It is as large as the crop that the network sees: 1.6 times the longer side of the box.
 */
export function squareAround(box, margin = 1.6) {
  const [x0, y0, x1, y1] = box;
  const side = margin * Math.max(x1 - x0, y1 - y0, 1);
  return { left: (x0 + x1 + 1 - side) / 2, top: (y0 + y1 + 1 - side) / 2, side };
}

/** The middle of the 3D view, and the length that it calls 1: those of the landmark box, and of its longer side. */
export function viewerFrame(box) {
  const [x0, y0, x1, y1] = box;
  return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, unit: Math.max(x1 - x0, y1 - y0, 1) };
}

/**
 * Image frame → three.js, where y points up and z towards the viewer: (x, -y, -z), centred and scaled.
 * This is half a turn about the x axis, not a reflection: left stays left.
 */
export function imageToViewer(frame, [x, y, z]) {
  return [(x - frame.x) / frame.unit, -(y - frame.y) / frame.unit, -z / frame.unit];
}

/** A direction in the image frame → three.js. */
export function directionToViewer([x, y, z]) {
  return [x, -y, -z];
}
