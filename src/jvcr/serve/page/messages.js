// What the page says: progress to the live region, errors to an alert.

import { byId } from "./dom.js";

const status = byId("status");
const error = byId("error");

/** Progress, read out by screen readers. It clears an earlier error. */
export function say(text) {
  error.hidden = true;
  status.textContent = text;
}

/** An error, in the words of the service. */
export function complain(text) {
  status.textContent = "";
  error.textContent = text;
  error.hidden = false;
}
