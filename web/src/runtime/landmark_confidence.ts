/** Visibility and standard deviation of single landmarks (`jvcr.runtime.landmark_confidence`). */
import { CONSTANTS } from "../constants.ts";
import { diagonal, type Points } from "../frames.ts";
import { clip, mean } from "../numbers.ts";
import { onnxMetadata } from "./onnx_file.ts";

const LIMITS = CONSTANTS.landmark_confidence;

/** What a prediction says about its landmarks. */
export interface Trust {
  /** Probability that the landmark is visible. */
  readonly visibility: number[];
  /** Standard deviation of x and of y, in diagonals of the landmarks' box. */
  readonly sigma: number[];
}

/** Matrices as text: see `jvcr.runtime.landmark_confidence`. */
interface Values {
  readonly scale: string;
  readonly first: string;
  readonly second: string;
}

/** Of a weights file's header, the part that is read here. */
interface Header {
  readonly about?: { readonly confidence?: { readonly landmarks?: Values } };
}

/** Rows of numbers. */
interface Matrix {
  readonly columns: number;
  readonly values: Float32Array;
}

/** A network with one hidden layer, with the weights of one landmark network. */
export class LandmarkConfidence {
  private readonly scale: Matrix;
  private readonly first: Matrix;
  private readonly second: Matrix;

  constructor(values: Values) {
    this.scale = unpacked(values.scale);
    this.first = unpacked(values.first);
    this.second = unpacked(values.second);
  }

  /** From the header of a weights file; null if these weights cannot tell. */
  static of(file: Uint8Array): LandmarkConfidence | null {
    const header = JSON.parse(onnxMetadata(file).get("jvcr") ?? "{}") as Header;
    const values = header.about?.confidence?.landmarks;
    return values ? new LandmarkConfidence(values) : null;
  }

  /**
   * Visibility and σ of one face's landmarks.
   *
   * @param pointsUnit in the unit frame of the crop.
   * @param heights the volume at the landmarks.
   */
  trust(pointsUnit: Points, heights: readonly number[]): Trust {
    const { columns, values } = this.scale;
    const inputs = inputsOf(pointsUnit, heights);
    const scaled = inputs.map((input, i) => (input - values[i]) * values[columns + i]);
    const out = layer(
      this.second,
      layer(this.first, scaled).map((sum) => Math.max(sum, 0)),
    );
    const count = pointsUnit.length;
    const { largest_logit, least_sigma, most_sigma } = LIMITS;
    return {
      visibility: out.slice(0, count).map((logit) => 1 / (1 + Math.exp(-clip(logit, -largest_logit, largest_logit)))),
      sigma: out.slice(count).map((log) => Math.exp(clip(log, Math.log(least_sigma), Math.log(most_sigma)))),
    };
  }
}

/** The shape in diagonals of its box around its centre, the logarithms of heights and size, the position. */
function inputsOf(points: Points, heights: readonly number[]): number[] {
  const size = diagonal(points);
  const [x, y] = [0, 1].map((axis) => {
    const values = points.map((point) => point[axis]);
    return (Math.min(...values) + Math.max(...values)) / 2;
  });
  const middle = [x, y, mean(points.map((point) => point[2]))];
  return [
    ...points.flatMap((point) => point.map((value, axis) => (value - middle[axis]) / size)),
    ...heights.map((height) => Math.log(Math.max(height, LIMITS.faintest))),
    Math.log(size),
    x,
    y,
  ];
}

/** The sums of a layer; the last column of its matrix is the bias. */
function layer({ columns, values }: Matrix, inputs: readonly number[]): number[] {
  return Array.from({ length: values.length / columns }, (_, row) => {
    const start = row * columns;
    return inputs.reduce((sum, input, i) => sum + values[start + i] * input, values[start + columns - 1]);
  });
}

/** "ROWSxCOLUMNS:" and 16-bit floats in base64. */
function unpacked(text: string): Matrix {
  const [size, numbers] = text.split(":");
  const bytes = Uint8Array.from(atob(numbers), (character) => character.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const values = Float32Array.from({ length: bytes.length / 2 }, (_, i) => half(view.getUint16(2 * i, true)));
  return { columns: Number(size.split("x")[1]), values };
}

/** The number that the 16 bits of an IEEE 754 half-precision float stand for. Finite numbers only. */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}
