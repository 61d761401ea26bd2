/** The package's own detector: a small network, and where it looks (`jvcr.detect.network`). */
import { CONSTANTS } from "../constants.ts";
import { Box, rescaled } from "../frames.ts";
import { cut, framed, type Image } from "../images.ts";
import { modulo, roundHalfEven } from "../numbers.ts";
import { resizeArea, resizeLinear } from "../resize.ts";
import type { DetectorCells } from "../runtime/onnx.ts";
import { nms, type Detector, type Proposal } from "./base.ts";
import { decode, type Found } from "./cells.ts";
import { withSecondOpinions } from "./second_opinion.ts";
import { isInside, scaledSize, searchSizes, Tile, tilesAround, tilesOf, type Size } from "./tiles.ts";

const SETTINGS = CONSTANTS.detect_network;

/** Default longer side of the photo in the finest search, pixels. */
export const DETECT_SIZE = SETTINGS.detect_size;

/** Runs the network on one RGB picture whose sides are multiples of `multiple`. */
export interface DetectorNetwork {
  cells(picture: Image): Promise<DetectorCells>;
}

/**
 * Proposes landmark boxes and rolls.
 *
 * The photo is searched at 320 pixels, where all but small faces are found, and at `size` wherever that search saw
 * something small, or everywhere if nothing sure was found. With a `size` of more than twice 320, the whole photo is
 * searched at `size`, at a quarter of it, and so on down to 320.
 */
export class NetworkDetector implements Detector {
  constructor(
    private readonly network: DetectorNetwork,
    private readonly multiple: number,
    private readonly size: number = DETECT_SIZE,
    private readonly minScore: number = SETTINGS.propose_score,
  ) {
    if (!(size >= 64)) throw new RangeError(`detectSize is ${size}; expected at least 64 pixels`);
  }

  /** Proposals, best first, no two of one face. */
  async propose(image: Image): Promise<Proposal[]> {
    const sizes = searchSizes(image, this.size);
    if (sizes.length === 2 && longer(sizes[0]) <= 2 * longer(sizes[1])) {
      return this.judged(image, await this.coarseToFine(image, sizes[0], sizes[1]));
    }
    const found: Found[] = [];
    let picture = image;
    for (const size of sizes) {
      // Finest first: each is made from the one before.
      picture = resizedTo(picture, size);
      found.push(...(await this.search(picture, image)));
    }
    return this.judged(image, found);
  }

  /** Faces that are larger than the photo: it is searched much reduced, with a border around it. */
  async closeUp(image: Image): Promise<Proposal[]> {
    const picture = resizedTo(image, scaledSize(image, SETTINGS.close_side));
    const start = Math.floor(SETTINGS.close_border / 2);
    const [width, height] = [picture.width, picture.height].map((side) => this.whole(side + SETTINGS.close_border));
    const found = await this.decoded(framed(picture, width, height, start, start, SETTINGS.padding));
    const [x, y] = [image.width / picture.width, image.height / picture.height];
    const close = found
      .map((one) => ({ ...one, box: movedBox(one.box, -start, -start) }))
      .filter((one) => isInside(one.box, picture))
      .map((one) => ({ ...one, box: rescaledBox(one.box, x, y) }));
    return this.proposals(close).filter((one) => one.score >= this.minScore);
  }

  /** The next multiple of the network's. */
  private whole(side: number): number {
    return side + modulo(-side, this.multiple);
  }

  /** The proposals of a search, after second opinions on the doubtful ones. */
  private async judged(image: Image, found: readonly Found[]): Promise<Proposal[]> {
    const cells = (picture: Image): Promise<DetectorCells> => this.network.cells(picture);
    const all = await withSecondOpinions(cells, image, this.proposals(found));
    return all.filter((one) => one.score >= this.minScore);
  }

  private proposals(all: readonly Found[]): Proposal[] {
    // In photos of a few pixels, which are enlarged for the search, boxes may be smaller than a pixel.
    const found = all.filter(({ box }) => Math.max(box.x1 - box.x0, box.y1 - box.y0) >= 1);
    const kept = nms(
      found.map((one) => one.box),
      found.map((one) => one.score),
      SETTINGS.same_face,
    );
    return kept.map((index) => found[index]);
  }

  /** A whole search at `coarse`, and one at `fine` around the small things it saw; a whole one if nothing is sure. */
  private async coarseToFine(image: Image, fine: Size, coarse: Size): Promise<Found[]> {
    const found = await this.search(resizedTo(image, coarse), image);
    const share = longer(fine) / longer(image);
    const small = found.filter((one) => isGuide(one, longer(coarse) / longer(image)));
    const tiles = tilesAround(
      small.map((one) => rescaledBox(one.box, share, share)),
      fine,
    );
    const few = isLittle(tiles, fine);
    if (few) for (const tile of tiles) found.push(...(await this.inGuidedTile(image, tile, fine)));
    const sure = found.some((one) => one.score >= SETTINGS.sure_score);
    if (!sure || (tiles.length && !few)) found.push(...(await this.search(resizedTo(image, fine), image)));
    return found;
  }

  /** A tile of the finer search. It is cut from the photo itself: resizing all of it would take longer. */
  private async inGuidedTile(image: Image, tile: Tile, fine: Size): Promise<Found[]> {
    const side = tile.width;
    const region = regionOf(tile, image, fine);
    const part = cut(image, region.left, region.top, region.right, region.bottom);
    const picture = resizedTo(part, { width: side, height: side });
    const found = await this.decoded(picture);
    return found
      .filter((one) => isInside(one.box, picture))
      .map((one) => {
        const box = rescaledBox(one.box, region.width / side, region.height / side);
        return { ...one, box: movedBox(box, region.left, region.top) };
      })
      .filter((one) => region.uncut(one.box, image));
  }

  /** One search of the whole photo, resized to `picture`. Boxes in the photo's pixels. */
  private async search(picture: Image, photo: Size): Promise<Found[]> {
    const [x, y] = [photo.width / picture.width, photo.height / picture.height];
    const found: Found[] = [];
    for (const tile of tilesOf(picture)) found.push(...(await this.inTile(picture, tile)));
    return found.map((one) => ({ ...one, box: rescaledBox(one.box, x, y) }));
  }

  private async inTile(picture: Image, tile: Tile): Promise<Found[]> {
    const part = tile.width < picture.width || tile.height < picture.height ? cutTile(picture, tile) : picture;
    const [width, height] = [this.whole(tile.width), this.whole(tile.height)];
    const found = await this.decoded(framed(part, width, height, 0, 0, SETTINGS.padding));
    return found
      .map((one) => ({ ...one, box: movedBox(one.box, tile.left, tile.top) }))
      .filter((one) => isInside(one.box, picture) && tile.uncut(one.box, picture));
  }

  private async decoded(picture: Image): Promise<Found[]> {
    const least = Math.min(SETTINGS.may_grow * this.minScore, SETTINGS.guide_score);
    return decode(await this.network.cells(picture), least);
  }
}

function longer({ width, height }: Size): number {
  return Math.max(width, height);
}

/** Whether the finer search looks around it. `share`: from the photo's pixels to those of the coarse search. */
function isGuide({ box, score }: Found, share: number): boolean {
  return score >= SETTINGS.guide_score && box.longer * share < SETTINGS.guide_largest;
}

/** Whether the tiles fit into the fine search's picture and are at most half of it. */
function isLittle(tiles: readonly Tile[], { width, height }: Size): boolean {
  const area = tiles.reduce((sum, tile) => sum + tile.width ** 2, 0);
  return area <= (width * height) / 2 && Math.min(width, height) >= SETTINGS.guided_tile;
}

/** A tile of the fine search, in the photo's pixels. */
function regionOf(tile: Tile, photo: Size, fine: Size): Tile {
  const [left, top, right, bottom] = [tile.left, tile.top, tile.right, tile.bottom].map((value) =>
    roundHalfEven((value * longer(photo)) / longer(fine)),
  );
  return new Tile(left, top, right, bottom).within(photo);
}

function cutTile(picture: Image, tile: Tile): Image {
  return cut(picture, tile.left, tile.top, tile.right, tile.bottom);
}

function movedBox(box: Box, x: number, y: number): Box {
  return new Box(box.x0 + x, box.y0 + y, box.x1 + x, box.y1 + y);
}

function rescaledBox(box: Box, x: number, y: number): Box {
  return new Box(rescaled(box.x0, x), rescaled(box.y0, y), rescaled(box.x1, x), rescaled(box.y1, y));
}

/** A picture at another size, averaged or interpolated. */
export function resizedTo(image: Image, { width, height }: Size): Image {
  if (width === image.width && height === image.height) return image;
  return width <= image.width ? resizeArea(image, width, height) : resizeLinear(image, width, height);
}
