/** Reading the compact volume at points (`jvcr.volume`). */
import type { Points } from "./frames.ts";

/** A compact volume in the network's layout: (D, s, s, H/s, W/s), s × s columns of voxels in each cell. */
export interface Cells {
  readonly data: Float32Array;
  readonly depth: number;
  readonly side: number;
  readonly rows: number;
  readonly columns: number;
}

/** Shape (D, H, W) of the whole volume. */
export function volumeShape({ depth, side, rows, columns }: Cells): [number, number, number] {
  return [depth, rows * side, columns * side];
}

/** The voxel at (x, y, z); 0 outside. */
function voxel(cells: Cells, x: number, y: number, z: number): number {
  const { data, depth, side, rows, columns } = cells;
  if (x < 0 || y < 0 || z < 0 || x >= columns * side || y >= rows * side || z >= depth) return 0;
  const plane = (z * side + (y % side)) * side + (x % side);
  return data[(plane * rows + Math.floor(y / side)) * columns + Math.floor(x / side)];
}

/** Trilinear reading at points in voxels of the whole volume; 0 outside. */
export function sampleCells(cells: Cells, pointsVox: Points): number[] {
  return pointsVox.map(([px, py, pz]) => {
    const [x, y, z] = [Math.floor(px), Math.floor(py), Math.floor(pz)];
    let sum = 0;
    for (let corner = 0; corner < 8; corner++) {
      const [dx, dy, dz] = [corner & 1, (corner >> 1) & 1, corner >> 2];
      const weight = part(px - x, dx) * part(py - y, dy) * part(pz - z, dz);
      sum += weight * voxel(cells, x + dx, y + dy, z + dz);
    }
    return sum;
  });
}

function part(fraction: number, corner: number): number {
  return corner === 1 ? fraction : 1 - fraction;
}

/** The volume reversed along x. */
export function mirroredCells(cells: Cells): Cells {
  const { depth, side, rows, columns } = cells;
  const data = new Float32Array(cells.data.length);
  const size = rows * columns;
  for (let plane = 0; plane < depth * side; plane++) {
    for (let column = 0; column < side; column++) {
      const from = (plane * side + side - 1 - column) * size;
      const to = (plane * side + column) * size;
      for (let y = 0; y < rows; y++) {
        for (let x = 0; x < columns; x++) data[to + y * columns + x] = cells.data[from + (y + 1) * columns - 1 - x];
      }
    }
  }
  return { ...cells, data };
}

/** The mean of two volumes of the same shape. */
export function averagedCells(some: Cells, others: Cells): Cells {
  return { ...some, data: some.data.map((value, index) => 0.5 * (value + others.data[index])) };
}
