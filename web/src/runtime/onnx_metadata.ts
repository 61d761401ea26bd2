/** The metadata of an ONNX file, read from its bytes. ONNX Runtime Web does not give it. */

/** Field numbers of ONNX's protobuf messages: `ModelProto.metadata_props`, and key and value of its entries. */
const METADATA_PROPS = 14;
const KEY = 1;
const VALUE = 2;

/** One field of a protobuf message; numbers are skipped. */
interface Field {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** Key → value. */
export function onnxMetadata(file: Uint8Array): Map<string, string> {
  const decoder = new TextDecoder();
  const entries = new Map<string, string>();
  for (const { number, bytes } of fieldsOf(file)) {
    if (number !== METADATA_PROPS) continue;
    const texts = new Map(Array.from(fieldsOf(bytes), (field) => [field.number, decoder.decode(field.bytes)]));
    entries.set(texts.get(KEY) ?? "", texts.get(VALUE) ?? "");
  }
  return entries;
}

/** The fields of a message that hold bytes: texts and messages. Throws if the message is cut off. */
function* fieldsOf(message: Uint8Array): Generator<Field> {
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
    const tag = varint();
    const kind = tag % 8;
    if (kind === 0) varint();
    else if (kind === 1) at += 8;
    else if (kind === 5) at += 4;
    else if (kind === 2) {
      const length = varint();
      if (at + length > message.length) throw new RangeError("an ONNX file ends in the middle of a field");
      yield { number: Math.floor(tag / 8), bytes: message.subarray(at, at + length) };
      at += length;
    } else throw new RangeError(`an ONNX file has a field of wire type ${kind}; expected 0, 1, 2 or 5`);
  }
}
