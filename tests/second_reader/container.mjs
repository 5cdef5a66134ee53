// The container: bytes → the metadata and the tensors. Rules N01 to N03, and the digest, N10.

import { createHash } from "node:crypto";
import { byCodePoints, parse } from "./json.mjs";

const CODES = {
  N01: "E_BUNDLE_FORMAT",
  N02: "E_BUNDLE_FORMAT",
  N03: "E_BUNDLE_FORMAT",
  N04: "E_BUNDLE_VERSION",
  N05: "E_BUNDLE_VERSION",
  N06: "E_BUNDLE_GRAPH",
  N07: "E_BUNDLE_GRAPH",
  N08: "E_BUNDLE_CONTRACT",
  N09: "E_BUNDLE_CONTRACT",
  N10: "E_BUNDLE_DIGEST",
};
const HEADER_LIMIT = 16 * 2 ** 20;
const RANK_LIMIT = 16;

/** By dtype of the container, in the order of the entries: its long name, its bytes, how a DataView reads one. */
const STORED = {
  I64: ["int64", 8, (view, at) => view.getBigInt64(at, true)],
  F64: ["float64", 8, (view, at) => view.getFloat64(at, true)],
  F32: ["float32", 4, (view, at) => view.getFloat32(at, true)],
  U32: ["uint32", 4, (view, at) => BigInt(view.getUint32(at, true))],
  I32: ["int32", 4, (view, at) => BigInt(view.getInt32(at, true))],
  F16: ["float16", 2, (view, at) => halfFromBits(view.getUint16(at, true))],
  U16: ["uint16", 2, (view, at) => BigInt(view.getUint16(at, true))],
  I16: ["int16", 2, (view, at) => BigInt(view.getInt16(at, true))],
  I8: ["int8", 1, (view, at) => BigInt(view.getInt8(at))],
  U8: ["uint8", 1, (view, at) => BigInt(view.getUint8(at))],
  BOOL: ["bool", 1, (view, at) => view.getUint8(at)],
};
const ORDER = Object.keys(STORED);

/** A file that a reader must refuse, by the rule it breaks. */
export class Refusal extends Error {
  constructor(rule, why) {
    super(`${rule} ${why}`);
    [this.rule, this.code] = [rule, CODES[rule]];
  }
}

export function need(condition, rule, why) {
  if (!condition) throw new Refusal(rule, why);
}

function strict(rule, make) {
  try {
    return make();
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal(rule, error.message);
  }
}

function halfFromBits(bits) {
  const [sign, exponent, fraction] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
}

/**
 * The parts of a bundle.
 * @param {Buffer} file
 * @returns {{metadata: Map, text: string, tensors: Map}} tensors: name → {stored, dtype, shape, bytes}
 */
export function readContainer(file) {
  need(file.length >= 8, "N01", "fewer than 8 bytes");
  const length = Number(file.readBigUInt64LE(0));
  need(length > 0 && length <= HEADER_LIMIT && 8 + length <= file.length, "N01", `a header of ${length} bytes`);
  const header = strict("N02", () => readHeader(file.subarray(8, 8 + length)));
  const tensors = readTensors(header, file.subarray(8 + length));
  const text = metadataText(header.get("__metadata__"));
  const metadata = strict("N02", () => parse(text, { canonical: true }));
  need(metadata instanceof Map, "N03", "metadata that are no object");
  return { metadata, text, tensors };
}

function readHeader(bytes) {
  const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  const compact = text.trimEnd();
  const padding = text.slice(compact.length);
  need(bytes.length % 8 === 0 && padding.length < 8 && /^ *$/.test(padding), "N02", "a header padded otherwise");
  const header = parse(compact, { canonical: false });
  need(header instanceof Map, "N02", "a header that is no object");
  return header;
}

function metadataText(held) {
  need(held instanceof Map && held.size === 1 && held.has("lstmconv"), "N03", "metadata other than lstmconv alone");
  need(typeof held.get("lstmconv") === "string", "N03", "metadata that are no text");
  return held.get("lstmconv");
}

const isSize = (n) => typeof n === "bigint" && n >= 0n;

/** Whether the entry of one tensor comes before that of another. */
function inOrder([name, { stored }], [nextName, { stored: nextStored }]) {
  const later = ORDER.indexOf(nextStored) - ORDER.indexOf(stored);
  return later > 0 || (later === 0 && byCodePoints(name, nextName) < 0);
}

function readTensors(header, data) {
  const tensors = new Map();
  let end = 0n;
  need([...header.keys()].indexOf("__metadata__") <= 0, "N02", "entries before the metadata");
  for (const [name, entry] of header) {
    if (name === "__metadata__") continue;
    const fields = entry instanceof Map ? [...entry.keys()].join() : "";
    need(fields === "dtype,shape,data_offsets", "N02", `the entry of ${name}`);
    const [stored, shape, offsets] = entry.values();
    need(Object.hasOwn(STORED, stored), "N08", `dtype ${stored} of ${name}`);
    need(Array.isArray(shape) && shape.length <= RANK_LIMIT && shape.every(isSize), "N01", `the shape of ${name}`);
    need(Array.isArray(offsets) && offsets.length === 2 && offsets.every(isSize), "N01", `the offsets of ${name}`);
    const [dtype, width] = STORED[stored];
    const [start, stop] = offsets;
    need(start === end && stop - start === shape.reduce((a, b) => a * b, BigInt(width)), "N01", `the span of ${name}`);
    need(stop <= BigInt(data.length), "N01", `${name} beyond the end of the file`);
    tensors.set(name, { stored, dtype, shape: shape.map(Number), bytes: data.subarray(Number(start), Number(stop)) });
    end = stop;
  }
  need(end === BigInt(data.length), "N01", "data after those of the tensors");
  const entries = [...tensors];
  need(entries.slice(1).every((entry, i) => inOrder(entries[i], entry)), "N02", "entries in another order");
  return tensors;
}

/** The numbers of a tensor: floats in a Float64Array, integers in a BigInt64Array, bool in a Uint8Array. */
export function decode({ stored, dtype, shape, bytes }) {
  const [, width, get] = STORED[stored];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const Store = dtype === "bool" ? Uint8Array : dtype.includes("int") ? BigInt64Array : Float64Array;
  return { dtype, shape, data: Store.from({ length: bytes.length / width }, (_, i) => get(view, i * width)) };
}

/** N10: SHA-256 over the metadata without the digest and every tensor. */
export function checkDigest({ metadata, text, tensors }) {
  const hash = createHash("sha256");
  hash.update(`{${text.slice(`{"digest":"${metadata.get("digest")}",`.length)}`);
  for (const name of [...tensors.keys()].sort(byCodePoints)) {
    const { dtype, shape, bytes } = tensors.get(name);
    hash.update(`\0${name}\0${dtype}\0${JSON.stringify(shape)}\0`).update(bytes);
  }
  need(metadata.get("digest") === `sha256:${hash.digest("hex")}`, "N10", "the digest of another content");
}
