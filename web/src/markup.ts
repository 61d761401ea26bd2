/** Landmark markups: how many points, which are mirror images, which are joined by a line (`jvcr.markups.markup`). */
import { WEIGHTS, type MarkupValues } from "./constants.ts";

export class Markup {
  readonly name: string;
  readonly n_points: number;
  /** `mirror[i]` is the landmark that i becomes in the mirror image. */
  readonly mirror: readonly number[];
  /** Name → indices of a facial part, in drawing order. */
  readonly groups: Readonly<Record<string, readonly number[]>>;
  readonly names: readonly string[];
  /** The outer eye corners. */
  readonly normaliser: readonly [number, number];
  /** Pairs of landmarks joined by a line in a drawing. */
  readonly edges: readonly (readonly [number, number])[];

  constructor(values: MarkupValues) {
    this.name = values.name;
    this.n_points = values.n_points;
    this.mirror = values.mirror;
    this.groups = values.groups;
    this.names = values.names;
    this.normaliser = [values.normaliser[0], values.normaliser[1]];
    this.edges = edgesOf(values);
  }
}

function edgesOf(values: MarkupValues): [number, number][] {
  if (values.lines) return values.lines.map(([a, b]) => [a, b]);
  return Object.entries(values.groups).flatMap(([name, members]) => {
    const pairs = members.slice(1).map((member, index): [number, number] => [members[index], member]);
    if (values.closed.includes(name)) pairs.push([members[members.length - 1], members[0]]);
    return pairs;
  });
}

/** The 68 points of Multi-PIE and 300-W. */
export const MARKUP_68 = new Markup(WEIGHTS["small"].markup);
