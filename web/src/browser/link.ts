/** The page's end of the line to the worker. */
import type { Answer, Answers, Request } from "./messages.ts";

interface Waiting {
  resolve: (value: never) => void;
  reject: (error: Error) => void;
}

export class Link {
  private readonly worker: Worker;
  private readonly waiting = new Map<number, Waiting>();
  private asked = 0;
  private closed = false;

  constructor(script: URL) {
    this.worker = new Worker(script, { type: "module", name: "jvcr" });
    this.worker.addEventListener("message", ({ data }: MessageEvent<Answer>) => {
      this.receive(data);
    });
    this.worker.addEventListener("error", (event) => {
      this.fail(`${script.href}: the worker failed (${event.message || "is the file there?"})`);
    });
  }

  /** Send a request. Rejects with the worker's message. */
  ask<Kind extends Request["kind"]>(
    request: Extract<Request, { kind: Kind }>,
    transfer: Transferable[] = [],
  ): Promise<Answers[Kind]> {
    if (this.closed) return Promise.reject(new Error("the landmarker is closed; create a new one"));
    const id = ++this.asked;
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.worker.postMessage({ ...request, id }, transfer);
    });
  }

  close(): void {
    this.closed = true;
    this.worker.terminate();
    this.fail("the landmarker was closed");
  }

  private receive(answer: Answer): void {
    const waiting = this.waiting.get(answer.id);
    this.waiting.delete(answer.id);
    if ("error" in answer) waiting?.reject(new Error(answer.error));
    else waiting?.resolve(answer.value as never);
  }

  private fail(message: string): void {
    for (const { reject } of this.waiting.values()) reject(new Error(message));
    this.waiting.clear();
  }
}
