// Names, lines and mirror pairs of the landmarks.

import { MARKUP_68 } from "./markup_68.js";

/** The markup of a face. Points of an unknown markup are numbered, and have no lines. */
export function markupOf(face) {
  if (!face.markup && face.landmarks.length === MARKUP_68.names.length) return MARKUP_68;
  return {
    names: face.landmarks.map((_, index) => String(index)),
    edges: [],
    mirror: null,
    triangles: [],
    openings: [],
  };
}
