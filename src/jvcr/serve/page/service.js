// Requests to the service. Its address is that of this page.

const root = new URL("../", import.meta.url);
let token = "";

/** An error that is shown as it is. `status` is 0 if no answer came. */
export class ServiceError extends Error {
  constructor(message, status, retryAfterS = 0) {
    super(message);
    this.status = status;
    this.retryAfterS = retryAfterS;
  }
}

export function useToken(value) {
  token = value;
}

/** What the service can do: limits, formats, weights. */
export async function serviceInfo() {
  return (await send("v1/info")).json();
}

/**
 * The faces of an encoded image.
 * @param {Blob} image
 * @param {{name?: string, weights?: string, volume?: boolean}} options
 */
export async function findFaces(image, options, signal) {
  return (await send(`v1/faces?${query(options)}`, imageBody(image), signal)).json();
}

/** Another rendering of the same request: "draw" is a picture, "view" a page. Returns a Blob. */
export async function renderFaces(kind, image, options) {
  return (await send(`v1/faces/${kind}?${query(options)}`, imageBody(image))).blob();
}

/** A record in the format of another tool: its Blob, and the file name that the service suggests. */
export async function exportFaces(record, format) {
  const body = { body: JSON.stringify(record), headers: { "Content-Type": "application/json" } };
  const answer = await send(`v1/export?${query({ format })}`, body);
  const disposition = answer.headers.get("Content-Disposition") ?? "";
  return { blob: await answer.blob(), name: /filename="([^"]+)"/.exec(disposition)?.[1] };
}

function imageBody(image) {
  return { body: image, headers: { "Content-Type": image.type || "application/octet-stream" } };
}

function query(options) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== "");
  return new URLSearchParams(given.map(([key, value]) => [key, String(value)]));
}

async function send(path, { body, headers } = {}, signal) {
  const options = { method: body ? "POST" : "GET", body, signal, headers: { ...headers } };
  if (token) options.headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(new URL(path, root), options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError("The server does not answer. Check that jvcr serve is still running, then try again.", 0);
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer) {
  const reply = await answer.json().catch(() => ({}));
  const text = reply.error ?? `The server answered ${answer.status} ${answer.statusText}.`;
  return new ServiceError(text, answer.status, Number(answer.headers.get("Retry-After")) || 0);
}
