/** Opens the landmark network where it runs best: on the GPU, if that is right and faster, else in WASM. */
import * as wasm from "onnxruntime-web/wasm";
import { OnnxRuntime } from "../runtime/onnx.ts";
import { FallingBack, isRightAndFaster } from "../runtime/choice.ts";
import type { Runtime } from "../runtime/base.ts";
import type { Files } from "./files.ts";

/** The scripts that start ONNX Runtime, and their WASM: without and with WebGPU. */
export const RUNTIME_SCRIPT = "wasm/ort-wasm-simd-threaded.mjs";
export const RUNTIME_WASM = "wasm/ort-wasm-simd-threaded.wasm";
const GPU_SCRIPT = "wasm/ort-wasm-simd-threaded.asyncify.mjs";
const GPU_WASM = "wasm/ort-wasm-simd-threaded.asyncify.wasm";

/** `"auto"`: WebGPU where it is right and faster. `"wasm"` and `"webgpu"`: that one, or an error. */
export type Backend = "auto" | "wasm" | "webgpu";

/** A network, and what it runs on. */
export interface Opened {
  readonly runtime: Runtime;
  readonly backend: "wasm" | "webgpu";
}

/** Open a landmark network. ONNX Runtime's WASM must be set up. */
export async function openNetwork(files: Files, name: string, file: Uint8Array, backend: Backend): Promise<Opened> {
  if (backend === "webgpu") return { runtime: await onGpu(files, name, file), backend };
  const cpu = await OnnxRuntime.open(wasm, name, file);
  if (backend === "auto" && (await hasGpu())) {
    // The first run of each also prepares it.
    const gpu = await onGpu(files, name, file).catch(() => null);
    if (gpu && (await isRightAndFaster(gpu, cpu))) {
      return { runtime: new FallingBack(gpu, cpu), backend: "webgpu" };
    }
    await gpu?.release();
  }
  return { runtime: cpu, backend: "wasm" };
}

/** Whether there is a GPU that is not emulated. */
async function hasGpu(): Promise<boolean> {
  try {
    const adapter = await navigator.gpu?.requestAdapter();
    return !!adapter && !adapter.info.isFallbackAdapter;
  } catch {
    return false;
  }
}

async function onGpu(files: Files, name: string, file: Uint8Array): Promise<OnnxRuntime> {
  // Loaded where it is needed only: it is larger than everything else together.
  const webgpu = await import("onnxruntime-web/webgpu");
  webgpu.env.wasm.wasmBinary = await files.read(GPU_WASM);
  webgpu.env.wasm.wasmPaths = { mjs: files.url(GPU_SCRIPT) };
  webgpu.env.wasm.numThreads = 1;
  return OnnxRuntime.open(webgpu, name, file, "webgpu");
}
