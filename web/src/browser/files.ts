/** The library's own files: fetched from the page's host, checked against the manifest, and kept in the browser. */

/** `manifest.json`: name of a file → its SHA-256 and size. */
export interface Manifest {
  readonly files: Readonly<Record<string, { readonly sha256: string; readonly bytes: number }>>;
}

const CACHE = "jvcr-files";

/** Files beside the manifest. */
export class Files {
  private constructor(
    private readonly base: string,
    private readonly manifest: Manifest,
  ) {}

  /** Read the manifest in the folder `base`. */
  static async open(base: string): Promise<Files> {
    const response = await fetch(new URL("manifest.json", base));
    if (!response.ok) {
      throw new Error(
        `${response.url}: ${response.status}; expected the library's folder at ${base} (option \`base\`)`,
      );
    }
    return new Files(base, (await response.json()) as Manifest);
  }

  url(name: string): string {
    return new URL(name, this.base).href;
  }

  /** A file's bytes, the same as when the library was built. */
  async read(name: string): Promise<Uint8Array<ArrayBuffer>> {
    const entry = Object.hasOwn(this.manifest.files, name) ? this.manifest.files[name] : undefined;
    if (!entry) {
      throw new Error(`${name} is not in the manifest; expected one of ${Object.keys(this.manifest.files).join(", ")}`);
    }
    // The checksum is part of the address: a new version is never mistaken for the old one.
    const address = `${this.url(name)}?sha256=${entry.sha256.slice(0, 16)}`;
    const cache = await openCache();
    const kept = await cache?.match(address);
    if (kept) {
      const bytes = new Uint8Array(await kept.arrayBuffer());
      if ((await sha256(bytes)) === entry.sha256) return bytes;
      await cache?.delete(address);
    }
    const bytes = await fetched(address);
    await check(bytes, entry.sha256, address);
    await keep(cache, address, bytes);
    return bytes;
  }
}

/** The browser's store; undefined where pages may not have one (a private window, for example). */
async function openCache(): Promise<Cache | undefined> {
  try {
    return await caches.open(CACHE);
  } catch {
    return undefined;
  }
}

async function fetched(address: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address}: ${response.status} ${response.statusText}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function check(bytes: Uint8Array<ArrayBuffer>, expected: string, address: string): Promise<void> {
  const found = await sha256(bytes);
  if (found !== expected) {
    throw new Error(
      `${address}: damaged or of another version: SHA-256 ${found}, but the manifest says ${expected}; ` +
        "copy the library's folder to the host again",
    );
  }
}

/** Keep a file, and drop older versions of it. */
async function keep(cache: Cache | undefined, address: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  if (!cache) return;
  try {
    const path = new URL(address).pathname;
    for (const request of await cache.keys()) {
      if (new URL(request.url).pathname === path) await cache.delete(request);
    }
    await cache.put(address, new Response(bytes));
  } catch {
    // The disk is full or the quota is used up: it works without.
  }
}

/** In hexadecimal digits. Browsers compute it on HTTPS and localhost only. */
async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (!("subtle" in crypto))
    throw new Error("the page is not in a secure context; serve it over HTTPS or from localhost");
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
