/** The wire format of protobuf, as far as ONNX files need it. */

/** One field of a message: its number, and its bytes or its value. */
export interface Field {
  readonly number: number;
  /** Texts, messages and packed numbers. */
  readonly bytes?: Uint8Array;
  /** A whole number. */
  readonly value?: number;
  /** The field as it stands in the message. */
  readonly whole: Uint8Array;
}

/** The fields of a message. Throws if it is cut off. */
export function* fieldsOf(message: Uint8Array): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      if (at >= message.length) throw new RangeError("an ONNX file ends in the middle of a field");
      const byte = message[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const start = at;
    const tag = varint();
    const [number, kind] = [Math.floor(tag / 8), tag % 8];
    let content: { bytes?: Uint8Array; value?: number } = {};
    if (kind === 0) content = { value: varint() };
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === 2) {
      const length = varint();
      content = { bytes: message.subarray(at, at + length) };
      at += length;
    } else throw new RangeError(`an ONNX file has a field of wire type ${kind}; expected 0, 1, 2 or 5`);
    if (at > message.length) throw new RangeError("an ONNX file ends in the middle of a field");
    yield { number, ...content, whole: message.subarray(start, at) };
  }
}

/** A field of bytes. */
export function bytesField(number: number, bytes: Uint8Array): Uint8Array {
  return joined([varintOf(8 * number + 2), varintOf(bytes.length), bytes]);
}

/** A field of a whole number. */
export function valueField(number: number, value: number): Uint8Array {
  return joined([varintOf(8 * number), varintOf(value)]);
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function varintOf(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 128) {
    bytes.push((rest % 128) + 128);
    rest = Math.floor(rest / 128);
  }
  return Uint8Array.from([...bytes, rest]);
}
