/** ONNX Runtime Web: the landmark network and the detector's network (`jvcr.runtime.onnx`). */
import type * as ort from "onnxruntime-web/wasm";
import { landmarkWeights } from "../constants.ts";
import type { Point } from "../frames.ts";
import type { Image } from "../images.ts";
import type { Cells } from "../volume.ts";
import { LandmarkConfidence } from "./landmark_confidence.ts";
import { withFloatWeights } from "./onnx_file.ts";
import { Described, description, type Description, type Prediction, type Runtime } from "./base.ts";

/** The parts of ONNX Runtime that are used. Passed in, because Node and browsers load it differently. */
export type Ort = Pick<typeof ort, "InferenceSession" | "Tensor">;

/** What runs a session. */
export type Provider = "wasm" | "webgpu";

type Session = ort.InferenceSession;

/** Load an ONNX file. Throws with the file's name if it is damaged. */
export async function openSession(
  runtime: Ort,
  name: string,
  file: Uint8Array,
  provider: Provider = "wasm",
): Promise<Session> {
  try {
    return await runtime.InferenceSession.create(provider === "webgpu" ? withFloatWeights(file) : file, {
      executionProviders: [provider],
      graphOptimizationLevel: "all",
      logSeverityLevel: 3,
    });
  } catch (error) {
    throw new Error(`weights "${name}": ONNX Runtime cannot load the file (${String(error)}); copy it again`, {
      cause: error,
    });
  }
}

/** A landmark network. */
export class OnnxRuntime extends Described implements Runtime {
  private constructor(
    private readonly runtime: Ort,
    private readonly session: Session,
    described: Description,
  ) {
    super(described);
  }

  /**
   * @param name of the weights, for their constants. file: the ONNX file's bytes.
   */
  static async open(runtime: Ort, name: string, file: Uint8Array, provider: Provider = "wasm"): Promise<OnnxRuntime> {
    // First: ONNX Runtime says what is wrong with a damaged file.
    const session = await openSession(runtime, name, file, provider);
    return new OnnxRuntime(runtime, session, description(landmarkWeights(name), LandmarkConfidence.of(file)));
  }

  async run(crops: readonly Uint8Array[]): Promise<Prediction[]> {
    const predictions: Prediction[] = [];
    // One at a time: without threads, larger batches are slower in WASM.
    for (const crop of crops) predictions.push(await this.one(crop));
    return predictions;
  }

  private async one(crop: Uint8Array): Promise<Prediction> {
    const size = this.image_size;
    if (crop.length !== 3 * size * size) {
      throw new RangeError(`a crop has ${crop.length} bytes; expected ${size} × ${size} RGB pixels`);
    }
    const outputs = await this.session.run({ crops: new this.runtime.Tensor("uint8", crop, [1, size, size, 3]) });
    return { cells: asCells(outputs["cells"]), points_unit: asPoints(outputs["points_unit"]) };
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

function asCells(tensor: ort.Tensor): Cells {
  const [, depth, side, , rows, columns] = tensor.dims;
  return { data: tensor.data as Float32Array, depth, side, rows, columns };
}

function asPoints(tensor: ort.Tensor): Point[] {
  const data = tensor.data as Float32Array;
  return Array.from({ length: data.length / 3 }, (_, i): Point => [data[3 * i], data[3 * i + 1], data[3 * i + 2]]);
}

/** The detector network's output for one picture: 7 planes of rows × columns. */
export interface DetectorCells {
  readonly data: Float32Array;
  readonly rows: number;
  readonly columns: number;
}

/** The detector's network: RGB pictures whose sides are multiples of the network's → cells. */
export class OnnxDetector {
  constructor(
    private readonly runtime: Ort,
    private readonly session: Session,
  ) {}

  static async open(runtime: Ort, name: string, file: Uint8Array): Promise<OnnxDetector> {
    return new OnnxDetector(runtime, await openSession(runtime, name, file));
  }

  /** One picture in RGB. */
  async cells(picture: Image): Promise<DetectorCells> {
    const shape = [1, picture.height, picture.width, 3];
    const { cells } = await this.session.run({
      photos: new this.runtime.Tensor("uint8", picture.data as Uint8Array, shape),
    });
    return { data: cells.data as Float32Array, rows: cells.dims[2], columns: cells.dims[3] };
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}
