/** 3 × 3 matrices, and the rotation nearest to one. */

type Row = readonly [number, number, number];
export type Matrix3 = readonly [Row, Row, Row];

const AXES: readonly number[] = [0, 1, 2];

function matrix(value: (row: number, column: number) => number): Matrix3 {
  const row = (y: number): Row => [value(y, 0), value(y, 1), value(y, 2)];
  return [row(0), row(1), row(2)];
}

export function times(a: Matrix3, b: Matrix3): Matrix3 {
  return matrix((row, column) => AXES.reduce((sum, k) => sum + a[row][k] * b[k][column], 0));
}

/**
 * The rotation R that maximises trace(Rᵀ M), never a reflection: `u diag(1, 1, ±1) vᵀ` of the singular value
 * decomposition of M.
 *
 * It is the rotation of the unit quaternion that is the eigenvector of Horn's matrix (1987) with the largest
 * eigenvalue. Unlike the singular vectors, that one needs no case for a reflection.
 */
export function nearestRotation(m: Matrix3): Matrix3 {
  const [[xx, xy, xz], [yx, yy, yz], [zx, zy, zz]] = m;
  // M is target × source; Horn writes it the other way round.
  const horn = [
    [xx + yy + zz, zy - yz, xz - zx, yx - xy],
    [zy - yz, xx - yy - zz, yx + xy, xz + zx],
    [xz - zx, yx + xy, yy - xx - zz, zy + yz],
    [yx - xy, xz + zx, zy + yz, zz - xx - yy],
  ];
  return fromQuaternion(largestEigenvector(horn));
}

/** The rotation of a unit quaternion w, x, y, z. */
function fromQuaternion([w, x, y, z]: readonly number[]): Matrix3 {
  return [
    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
  ];
}

/** The unit eigenvector of a symmetric matrix with the largest eigenvalue, by Jacobi rotations. */
function largestEigenvector(symmetric: readonly (readonly number[])[]): number[] {
  const size = symmetric.length;
  const a = symmetric.map((row) => [...row]);
  const vectors = a.map((_, row) => a.map((__, column) => (row === column ? 1 : 0)));
  // Converges quadratically: six sweeps reach the rounding error, the rest cost nothing.
  for (let sweep = 0; sweep < 20; sweep++) {
    for (let p = 0; p < size; p++) {
      for (let q = p + 1; q < size; q++) turn(a, vectors, p, q);
    }
  }
  const values = a.map((row, index) => row[index]);
  const best = values.indexOf(Math.max(...values));
  return vectors.map((row) => row[best]);
}

/** One Jacobi rotation in the plane of axes p and q. */
function turn(a: number[][], vectors: number[][], p: number, q: number): void {
  if (a[p][q] === 0) return;
  const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (const row of a) [row[p], row[q]] = [c * row[p] - s * row[q], s * row[p] + c * row[q]];
  const [first, second] = [a[p], a[q]];
  a[p] = first.map((value, k) => c * value - s * second[k]);
  a[q] = first.map((value, k) => s * value + c * second[k]);
  for (const row of vectors) [row[p], row[q]] = [c * row[p] - s * row[q], s * row[p] + c * row[q]];
}
