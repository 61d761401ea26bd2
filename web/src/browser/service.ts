/** Opens the networks in a worker and answers requests. */
import * as ort from "onnxruntime-web/wasm";
import { DETECTORS, landmarkWeights } from "../constants.ts";
import { NetworkDetector } from "../detect/network.ts";
import { Landmarker } from "../landmarker.ts";
import { OnnxDetector } from "../runtime/onnx.ts";
import { Tracker } from "../video/track.ts";
import { Files } from "./files.ts";
import type { Answers, OpenAnswer, OpenRequest, Request } from "./messages.ts";
import { openNetwork, RUNTIME_SCRIPT, RUNTIME_WASM } from "./networks.ts";
import { pixelsOf } from "./pixels.ts";

const DETECTOR = "detector";

export class Service {
  private landmarker: Landmarker | null = null;
  private readonly trackers = new Map<number, Tracker>();

  async answer(request: Request): Promise<Answers[keyof Answers]> {
    if (request.kind === "open") return this.open(request);
    if (request.kind === "endTrack") {
      this.trackers.delete(request.tracker);
      return null;
    }
    if (!this.landmarker) throw new Error("the landmarker is not open");
    const image = pixelsOf(request.picture);
    if (request.kind === "predict") {
      if (request.picture instanceof ImageBitmap) request.picture.close();
      return this.landmarker.predict(image, request.boxes);
    }
    const tracker = this.tracker(request.tracker, this.landmarker, request.settings);
    return { faces: await tracker.next(image, request.timeS), picture: request.picture };
  }

  private tracker(number: number, landmarker: Landmarker, settings: ConstructorParameters<typeof Tracker>[1]): Tracker {
    const known = this.trackers.get(number);
    if (known) return known;
    const tracker = new Tracker(landmarker, settings);
    this.trackers.set(number, tracker);
    return tracker;
  }

  private async open({ base, weights, detectSize, threads, backend, settings }: OpenRequest): Promise<OpenAnswer> {
    landmarkWeights(weights); // throws if the name is unknown
    const files = await Files.open(base);
    const [wasm, network, detector] = await Promise.all(
      [RUNTIME_WASM, `weights/${weights}.onnx`, `weights/${DETECTOR}.onnx`].map((name) => files.read(name)),
    );
    ort.env.wasm.wasmBinary = wasm;
    ort.env.wasm.wasmPaths = { mjs: files.url(RUNTIME_SCRIPT) };
    ort.env.wasm.numThreads = threads;
    const opened = await openNetwork(files, weights, network, backend);
    const found = await OnnxDetector.open(ort, DETECTOR, detector);
    const { multiple } = DETECTORS[DETECTOR];
    this.landmarker = new Landmarker(opened.runtime, new NetworkDetector(found, multiple, detectSize), settings);
    return { backend: opened.backend };
  }
}
