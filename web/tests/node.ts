/** A `Landmarker` in Node, on ONNX Runtime's WASM. */
import { readFileSync } from "node:fs";
// The build for browsers: the one that visitors get.
import * as ort from "onnxruntime-web/wasm";
import { DETECTORS } from "../src/constants.ts";
import { NetworkDetector } from "../src/detect/network.ts";
import { Landmarker, type LandmarkerSettings } from "../src/landmarker.ts";
import { withFloatWeights } from "../src/runtime/onnx_file.ts";
import { OnnxDetector, OnnxRuntime } from "../src/runtime/onnx.ts";

const WEIGHTS = new URL("../../src/jvcr/weights/", import.meta.url);

function weightsFile(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`${name}.onnx`, WEIGHTS)));
}

/** The network as it is, and with the weights that WebGPU gets. */
export async function openBoth(name: string): Promise<[OnnxRuntime, OnnxRuntime]> {
  ort.env.wasm.numThreads = 1;
  const file = weightsFile(name);
  return [await OnnxRuntime.open(ort, name, file), await OnnxRuntime.open(ort, name, withFloatWeights(file))];
}

export interface Networks {
  runtime: OnnxRuntime;
  detector: OnnxDetector;
}

export async function openNetworks(): Promise<Networks> {
  ort.env.wasm.numThreads = 1;
  return {
    runtime: await OnnxRuntime.open(ort, "small", weightsFile("small")),
    detector: await OnnxDetector.open(ort, "detector", weightsFile("detector")),
  };
}

export function makeLandmarker(
  { runtime, detector }: Networks,
  settings: LandmarkerSettings = {},
  detectSize?: number,
): Landmarker {
  const { multiple } = DETECTORS["detector"];
  return new Landmarker(runtime, new NetworkDetector(detector, multiple, detectSize), settings);
}
