/** What ONNX Runtime Web does not do with an ONNX file: its metadata, and weights that WebGPU can read. */
import { bytesField, fieldsOf, joined, valueField } from "./protobuf.ts";

/** Numbers of fields in ONNX's messages, and of types. */
const MODEL = { graph: 7, metadata: 14 };
const ENTRY = { key: 1, value: 2 };
const GRAPH = { initializer: 5 };
const TENSOR = { type: 2, rawData: 9 };
const TYPE = { float: 1, int16: 5 };

/** The file's metadata, key → value. */
export function onnxMetadata(file: Uint8Array): Map<string, string> {
  const decoder = new TextDecoder();
  const entries = new Map<string, string>();
  for (const { number, bytes } of fieldsOf(file)) {
    if (number !== MODEL.metadata || !bytes) continue;
    const texts = new Map(Array.from(fieldsOf(bytes), (field) => [field.number, decoder.decode(field.bytes)]));
    entries.set(texts.get(ENTRY.key) ?? "", texts.get(ENTRY.value) ?? "");
  }
  return entries;
}

/** The same network with its 16-bit weights as 32-bit floats. WebGPU has no 16-bit integers. */
export function withFloatWeights(file: Uint8Array): Uint8Array {
  return replaced(file, MODEL.graph, (graph) => replaced(graph, GRAPH.initializer, floatTensor));
}

/** The message with every field of this number changed. */
function replaced(message: Uint8Array, number: number, change: (bytes: Uint8Array) => Uint8Array): Uint8Array {
  const parts = Array.from(fieldsOf(message), (field) =>
    field.number === number && field.bytes ? bytesField(number, change(field.bytes)) : field.whole,
  );
  return joined(parts);
}

function floatTensor(tensor: Uint8Array): Uint8Array {
  const fields = Array.from(fieldsOf(tensor));
  if (fields.find(({ number }) => number === TENSOR.type)?.value !== TYPE.int16) return tensor;
  const parts = fields.map(({ number, bytes, whole }) => {
    if (number === TENSOR.type) return valueField(number, TYPE.float);
    return number === TENSOR.rawData && bytes ? bytesField(number, asFloats(bytes)) : whole;
  });
  return joined(parts);
}

/** 16-bit integers → 32-bit floats of the same values, all little-endian. */
function asFloats(bytes: Uint8Array): Uint8Array {
  const [from, to] = [
    new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
    new DataView(new ArrayBuffer(2 * bytes.length)),
  ];
  for (let at = 0; at < bytes.length; at += 2) to.setFloat32(2 * at, from.getInt16(at, true), true);
  return new Uint8Array(to.buffer);
}
