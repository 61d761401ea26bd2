// Head pose and expression in numbers.

import { byId, element } from "./dom.js";

const ANGLES = [
  ["yaw_deg", "Yaw", "to their left", "to their right"],
  ["pitch_deg", "Pitch", "up", "down"],
  ["roll_deg", "Roll", "clockwise", "counter-clockwise"],
];

const EXPRESSION = {
  eye_right: "Right eye open",
  eye_left: "Left eye open",
  mouth_open: "Mouth open",
  mouth_width: "Mouth wide",
  smile: "Smile",
  brow_right: "Right brow raised",
  brow_left: "Left brow raised",
  jaw_drop: "Jaw dropped",
};

// Smaller angles are called straight: the error is larger.
const STRAIGHT_DEG = 2;
const signed = (value, digits) => value.toFixed(digits).replace("-", "−");

/** Fill both cards; a card is hidden if the face has no such values. */
export function showReadings(face) {
  byId("pose-card").hidden = !face?.pose;
  byId("expression-card").hidden = !face?.expression;
  if (face?.pose) byId("pose").replaceChildren(...ANGLES.map((angle) => angleEntry(angle, face.pose)));
  if (face?.expression) byId("expression").replaceChildren(...expressionEntries(face.expression));
}

function angleEntry([key, name, positive, negative], pose) {
  const value = pose[key];
  const way = Math.abs(value) < STRAIGHT_DEG ? "straight" : value > 0 ? positive : negative;
  return element(
    "div",
    {},
    element("dt", { textContent: name }),
    element(
      "dd",
      {},
      element("strong", { textContent: `${signed(value, 1)}°` }),
      element("span", { textContent: way }),
    ),
  );
}

function expressionEntries(values) {
  return Object.entries(EXPRESSION)
    .filter(([key]) => key in values)
    .map(([key, name]) => {
      const fill = element("i");
      fill.style.width = `${100 * Math.min(1, Math.max(0, values[key]))}%`;
      const bar = element("span", { className: "bar", ariaHidden: "true" }, fill);
      return element(
        "div",
        {},
        element("dt", { textContent: name }),
        element("dd", {}, bar, element("span", { textContent: signed(values[key], 2) })),
      );
    });
}
