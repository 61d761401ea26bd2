/** The worker: takes requests one after another and answers each. */
import type { Answer, Envelope } from "./messages.ts";
import { Service } from "./service.ts";

const service = new Service();
let earlier: Promise<unknown> = Promise.resolve();

async function answered(request: Envelope): Promise<Answer> {
  try {
    return { id: request.id, value: await service.answer(request) };
  } catch (error) {
    return { id: request.id, error: error instanceof Error ? error.message : String(error) };
  }
}

self.addEventListener("message", ({ data }: MessageEvent<Envelope>) => {
  // One at a time: ONNX Runtime's WASM runs one session call at a time, and trackers need their frames in order.
  earlier = earlier.then(async () => {
    const answer = await answered(data);
    const value = "value" in answer ? answer.value : null;
    self.postMessage(answer, { transfer: value && "picture" in value ? [value.picture] : [] });
  });
});
