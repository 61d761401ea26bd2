/** Parts of a picture that are searched one by one (`_Tile`, `_tiles`, `_sizes` of `jvcr.detect.network`). */
import { CONSTANTS } from "../constants.ts";
import { borders, type Box } from "../frames.ts";
import { argsortDescending, clip, roundHalfEven } from "../numbers.ts";

const SETTINGS = CONSTANTS.detect_network;

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** Rows `top` … `bottom - 1` and columns `left` … `right - 1` of a picture. */
export class Tile {
  constructor(
    readonly left: number,
    readonly top: number,
    readonly right: number,
    readonly bottom: number,
  ) {}

  get width(): number {
    return this.right - this.left;
  }

  get height(): number {
    return this.bottom - this.top;
  }

  /** The part of it that lies in a picture. */
  within({ width, height }: Size): Tile {
    return new Tile(
      Math.max(0, this.left),
      Math.max(0, this.top),
      Math.min(width, this.right),
      Math.min(height, this.bottom),
    );
  }

  /**
   * Whether no edge of the tile cuts the box, but for those of the picture itself.
   *
   * A face that a tile's edge cuts lies whole in the next tile, or is large and found in a coarser search.
   */
  uncut(box: Box, { width, height }: Size): boolean {
    return (
      (this.left === 0 || box.x0 > this.left) &&
      (this.top === 0 || box.y0 > this.top) &&
      (this.right >= width || box.x1 < this.right) &&
      (this.bottom >= height || box.y1 < this.bottom)
    );
  }

  /** Whether the box lies in it, with a margin. */
  holds(box: Box, margin: number): boolean {
    return (
      this.left <= box.x0 - margin &&
      this.top <= box.y0 - margin &&
      box.x1 + margin <= this.right &&
      box.y1 + margin <= this.bottom
    );
  }
}

/** Whether the middle of a box lies in the picture, or only a little beyond it, as that of a face cut at the nose. */
export function isInside(box: Box, size: Size): boolean {
  const [x, y] = box.centre;
  const [marginX, marginY] = [SETTINGS.beyond * box.width, SETTINGS.beyond * box.height];
  const [[left, right], [top, bottom]] = [borders(size.width), borders(size.height)];
  return x + marginX > left && x - marginX < right && y + marginY > top && y - marginY < bottom;
}

/** Few square tiles that hold the boxes, the largest first; moved inside the picture as far as it is large enough. */
export function tilesAround(boxes: readonly Box[], { width, height }: Size): Tile[] {
  const { small_tile: small, guided_tile: large, guided_margin: margin } = SETTINGS;
  const start = (low: number, high: number, extent: number, side: number): number =>
    Math.trunc(clip((low + high - side) / 2, 0, Math.max(0, extent - side)));
  const tiles: Tile[] = [];
  for (const index of argsortDescending(boxes.map((box) => box.longer))) {
    const box = boxes[index];
    if (tiles.some((tile) => tile.holds(box, margin))) continue;
    const side = box.longer + 2 * margin <= small ? small : large;
    const [left, top] = [start(box.x0, box.x1, width, side), start(box.y0, box.y1, height, side)];
    tiles.push(new Tile(left, top, left + side, top + side));
  }
  return tiles;
}

/** Sizes of a photo for each search, finest first. */
export function searchSizes({ width, height }: Size, limit: number): Size[] {
  const longer = Math.max(width, height);
  let side = Math.min(limit, Math.max(longer, Math.min(SETTINGS.coarsest, 2 * longer)));
  const sides = [side];
  while (side > 1.25 * SETTINGS.coarsest) {
    side = Math.max(Math.floor(side / 4), SETTINGS.coarsest);
    sides.push(side);
  }
  return sides.map((one) => scaledSize({ width, height }, one));
}

/** A photo's size with this longer side. */
export function scaledSize({ width, height }: Size, side: number): Size {
  const longer = Math.max(width, height);
  return {
    width: Math.max(1, roundHalfEven((width * side) / longer)),
    height: Math.max(1, roundHalfEven((height * side) / longer)),
  };
}

/** Overlapping tiles that cover a picture; one if it is small. */
export function tilesOf({ width, height }: Size): Tile[] {
  return intervals(height).flatMap(([top, bottom]) =>
    intervals(width).map(([left, right]) => new Tile(left, top, right, bottom)),
  );
}

/** Overlapping intervals that cover 0 … extent - 1. */
export function intervals(extent: number): [number, number][] {
  const { largest_picture: largest, tile, overlap } = SETTINGS;
  if (extent <= largest) return [[0, extent]];
  const count = Math.ceil((extent - overlap) / (tile - overlap));
  return Array.from({ length: count }, (_, index) => {
    const start = roundHalfEven((index * (extent - tile)) / (count - 1));
    return [start, start + tile];
  });
}
