// The photo with its landmarks.

import { FACE_MARGIN, canvasToImage, imageToCanvas, squareAround } from "./frames.js";
import { between, css, depthColours, farFirst, hiddenPoints } from "./look.js";
import { markupOf } from "./markup.js";
import { sharpContext } from "./dom.js";

const REACH_PX = 14;

export class PhotoView {
  #canvas;
  #shown = null;
  #extent = "photo";
  #marked = -1;
  #view = null;

  /** `onPick(face)` is called with the number of a face that was clicked, `onPoint(landmark)` with a landmark or -1. */
  constructor(canvas, { onPick, onPoint }) {
    this.#canvas = canvas;
    new ResizeObserver(() => this.draw()).observe(canvas);
    canvas.addEventListener("click", (event) => {
      const face = this.#faceAt(event);
      if (face >= 0) onPick(face);
    });
    canvas.addEventListener("pointermove", (event) => onPoint(this.#pointAt(event), this.#at(event)));
    canvas.addEventListener("pointerleave", () => onPoint(-1));
  }

  /** Show `{picture, record, selected}`; `picture` is an ImageBitmap, or null if the browser cannot read the photo. */
  show(shown) {
    this.#shown = shown;
    this.draw();
  }

  set extent(value) {
    this.#extent = value;
    this.draw();
  }

  mark(landmark) {
    if (landmark === this.#marked) return;
    this.#marked = landmark;
    this.draw();
  }

  draw() {
    if (!this.#shown || !this.#canvas.clientWidth) return;
    const { context, width, height } = sharpContext(this.#canvas);
    const { picture, record, selected } = this.#shown;
    const view = (this.#view = this.#fit(width, height));
    if (picture) {
      const size = [record.width * view.scale, record.height * view.scale];
      context.drawImage(picture, -view.left * view.scale, -view.top * view.scale, ...size);
    }
    record.faces.forEach((face, index) => this.#drawFace(context, face, index === selected));
  }

  /** Where the photo lies on the canvas: the whole of it, or the square around the selected face. */
  #fit(width, height) {
    const { record, selected } = this.#shown;
    const face = record.faces[selected];
    if (this.#extent === "face" && face) {
      const square = squareAround(face.box, FACE_MARGIN);
      return centred(square.left, square.top, square.side, square.side, width, height);
    }
    return centred(0, 0, record.width, record.height, width, height);
  }

  #drawFace(context, face, selected) {
    const markup = markupOf(face);
    const points = face.landmarks.map((point) => imageToCanvas(this.#view, point));
    const size = Math.max(face.box[2] - face.box[0], face.box[3] - face.box[1]) * this.#view.scale;
    if (this.#shown.record.faces.length > 1) this.#drawBox(context, face.box, selected);
    context.globalAlpha = selected ? 1 : 0.6;
    const style = { colours: depthColours(face.landmarks), hidden: hiddenPoints(face, markup), size };
    drawLines(context, face, markup, points, style);
    drawPoints(context, face, points, style);
    if (selected && points[this.#marked]) drawMark(context, points[this.#marked], radiusOf(size));
    context.globalAlpha = 1;
  }

  #drawBox(context, [x0, y0, x1, y1], selected) {
    const [left, top] = imageToCanvas(this.#view, [x0, y0]);
    const [right, bottom] = imageToCanvas(this.#view, [x1, y1]);
    context.lineWidth = selected ? 2 : 1;
    context.strokeStyle = selected ? "#fff" : "rgb(255 255 255 / 0.55)";
    context.beginPath();
    context.roundRect(left - 6, top - 6, right - left + 12, bottom - top + 12, 6);
    context.stroke();
  }

  #at(event) {
    const { left, top } = this.#canvas.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  #faceAt(event) {
    if (!this.#view) return -1;
    const [x, y] = canvasToImage(this.#view, this.#at(event));
    return this.#shown.record.faces.findIndex(({ box: [x0, y0, x1, y1] }) => x >= x0 && x <= x1 && y >= y0 && y <= y1);
  }

  #pointAt(event) {
    const face = this.#shown?.record.faces[this.#shown.selected];
    if (!face || !this.#view) return -1;
    const [x, y] = this.#at(event);
    const distances = face.landmarks.map((point) => {
      const [px, py] = imageToCanvas(this.#view, point);
      return Math.hypot(px - x, py - y);
    });
    const nearest = Math.min(...distances);
    return nearest <= REACH_PX ? distances.indexOf(nearest) : -1;
  }
}

function centred(left, top, across, down, width, height) {
  const scale = Math.min(width / across, height / down);
  return { left: left - (width / scale - across) / 2, top: top - (height / scale - down) / 2, scale };
}

const radiusOf = (size) => Math.min(4.5, Math.max(1.6, size / 85));

function drawLines(context, face, markup, points, { colours, hidden, size }) {
  const depth = ([a, b]) => face.landmarks[a][2] + face.landmarks[b][2];
  context.lineCap = "round";
  for (const [a, b] of farFirst(markup.edges, depth)) {
    context.lineWidth = hidden[a] && hidden[b] ? 1 : Math.min(2.5, Math.max(1, size / 150));
    context.strokeStyle = css(between(colours[a], colours[b]));
    context.beginPath();
    context.moveTo(...points[a]);
    context.lineTo(...points[b]);
    context.stroke();
  }
}

function drawPoints(context, face, points, { colours, hidden, size }) {
  const radius = radiusOf(size);
  for (const index of farFirst(points.keys(), (i) => face.landmarks[i][2])) {
    context.beginPath();
    context.arc(...points[index], radius, 0, 2 * Math.PI);
    context.lineWidth = hidden[index] ? 1.25 : 1;
    context.strokeStyle = hidden[index] ? css(colours[index]) : "rgb(0 0 0 / 0.35)";
    context.stroke();
    if (hidden[index]) continue;
    context.fillStyle = css(colours[index]);
    context.fill();
  }
}

function drawMark(context, point, radius) {
  context.lineWidth = 2;
  context.strokeStyle = "#fff";
  context.beginPath();
  context.arc(...point, radius + 4, 0, 2 * Math.PI);
  context.stroke();
}
