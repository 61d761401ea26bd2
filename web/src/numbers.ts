/** Arithmetic as Python and NumPy do it. */

/** Python's `round`: halves go to the even neighbour. */
export function roundHalfEven(value: number): number {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return rest < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/** `numpy.clip`. */
export function clip(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}

/** The remainder with the sign of the divisor, as Python's `%`. */
export function modulo(value: number, divisor: number): number {
  return ((value % divisor) + divisor) % divisor;
}

export function degrees(radians: number): number {
  return (radians * 180) / Math.PI;
}

export function radians(degrees: number): number {
  return (degrees * Math.PI) / 180;
}

/** Indices of the values from the largest to the smallest; equal ones stay in order. */
export function argsortDescending(values: readonly number[]): number[] {
  return values.map((_, index) => index).sort((a, b) => values[b] - values[a]);
}

/** A value to so many decimal places, for text. */
export function rounded(value: number, places: number): number {
  const factor = 10 ** places;
  return roundHalfEven(value * factor) / factor;
}

export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
