// The fields and parameters of every node, as FORMAT.md lists them. Rule N06.

import { ACTIVATIONS } from "./activations.mjs";
import { need } from "./container.mjs";

// A kind takes what the JSON has and gives what the rest of the reader works with, or refuses it.
const LARGEST = 2n ** 53n - 1n;
const refuse = (condition, why) => need(condition, "N06", why);

const whole = (least = -LARGEST) => (v) => {
  refuse(typeof v === "bigint" && v >= least && v <= LARGEST, `${v} is no whole number from ${least} on`);
  return Number(v);
};
const size = whole(0n);
const count = whole(1n);
const number = (v) => {
  refuse(typeof v === "number", `${v} is no number with a fraction or an exponent`);
  return v;
};
const text = (v) => {
  refuse(typeof v === "string", "no text");
  return v;
};
const flag = (v) => {
  refuse(typeof v === "boolean", "neither true nor false");
  return v;
};
const list = (kind) => (v) => {
  refuse(Array.isArray(v), "no list");
  return v.map(kind);
};
const nullable = (kind) => (v) => (v === null ? null : kind(v));
const namespace = (v) => {
  refuse(text(v) === "" || isName(v), `${v} is no name of arrays`);
  return v;
};

/** The axis of an activation is spelled like its other constants, `-1.0`. */
const axis = (v) => {
  refuse(Number.isInteger(number(v)), `axis ${v} is not whole`);
  return v;
};
const CONSTANT = { number, "number?": nullable(number), axis };

function activation(v) {
  refuse(v instanceof Map && Object.hasOwn(ACTIVATIONS, v.get("name")), "an unknown activation");
  const { constants = {} } = ACTIVATIONS[v.get("name")];
  return fieldsOf(v, { name: text, ...Object.fromEntries(Object.entries(constants).map(([k, kind]) => [k, CONSTANT[kind]])) });
}

const isName = (v) => /^[^$/:\u0000-\u001f\u007f-\u009f][^/:\u0000-\u001f\u007f-\u009f]*$/u.test(v);
const name = (v) => {
  refuse(typeof v === "string" && isName(v), `${v} is no name`);
  return v;
};

/** An object with exactly these fields, as {field: kind}. */
export function fieldsOf(v, kinds, rule = "N06") {
  need(v instanceof Map, rule, "no object");
  for (const field of v.keys()) need(Object.hasOwn(kinds, field), rule, `unknown field ${field}`);
  for (const field of Object.keys(kinds)) need(v.has(field), rule, `no field ${field}`);
  return Object.fromEntries(Object.entries(kinds).map(([field, kind]) => [field, kind(v.get(field))]));
}

const gates = (letters, shapes) =>
  Object.fromEntries(Object.entries(shapes).flatMap(([p, shape]) => [...letters].map((gate) => [`${p}_${gate}`, shape])));
const cell = (letters) => (n) => gates(letters, {
  W: [n.input_size, n.units], U: [n.units, n.units], ...(n.use_bias && { b: [n.units] }), ...(n.use_bias && n.reset_after && { bU: [n.units] }),
}); // prettier-ignore
const scaled = (n, shape) => ({ ...(n.scale && { gamma: shape }), ...(n.center && { beta: shape }) });
const biased = (n, p, length) => (n.use_bias ? { [p]: [length] } : {});

const sequence = {
  x: text, mask: nullable(text), h0: nullable(text), weights: namespace, use_bias: flag, activation, return_sequences: flag,
  go_backwards: flag, zero_output_for_mask: flag, stateful: flag,
}; // prettier-ignore
const recurrent = { ...sequence, input_size: count, units: count };
const kernel = { x: text, weights: namespace, channels: count, filters: count, kernel_size: list(count), strides: list(count),
  dilation: list(count), use_bias: flag, activation }; // prettier-ignore

/** By node: its fields, and its parameters with their shapes. `node` and `name` are fields of every one. */
export const NODES = {
  Input: { fields: { shape: list(nullable(size)), dtype: text } },
  Constant: { fields: { shape: list(size), dtype: text }, parameters: (n) => ({ value: n.shape }) },
  LSTM: { fields: { ...recurrent, c0: nullable(text), recurrent_activation: activation }, parameters: cell("ifco") },
  GRU: { fields: { ...recurrent, recurrent_activation: activation, reset_after: flag }, parameters: cell("zrh") },
  SimpleRNN: { fields: recurrent, parameters: cell("h") },
  ConvLSTM: {
    fields: { ...sequence, ...kernel, padding: text, c0: nullable(text), recurrent_activation: activation },
    parameters: (n) => gates("ifco", {
      W: [...n.kernel_size, n.channels, n.filters], U: [...n.kernel_size, n.filters, n.filters], ...biased(n, "b", n.filters),
    }), // prettier-ignore
  },
  Dense: {
    fields: { x: text, weights: namespace, input_size: count, units: count, use_bias: flag, activation },
    parameters: (n) => ({ W: [n.input_size, n.units], ...biased(n, "b", n.units) }),
  },
  Embedding: {
    fields: { x: text, weights: namespace, input_size: count, units: count, dtype: text },
    parameters: (n) => ({ E: [n.input_size, n.units] }),
  },
  Activate: { fields: { x: text, activation } },
  PReLU: { fields: { x: text, weights: namespace, shape: list(size) }, parameters: (n) => ({ alpha: n.shape }) },
  BatchNorm: {
    fields: { x: text, weights: namespace, axis: size, size: count, epsilon: number, scale: flag, center: flag },
    parameters: (n) => ({ ...scaled(n, [n.size]), mean: [n.size], variance: [n.size] }),
  },
  LayerNorm: {
    fields: { x: text, weights: namespace, axes: list(size), shape: list(size), epsilon: number, scale: flag, center: flag, rms: flag },
    parameters: (n) => scaled(n, n.shape),
  },
  GroupNorm: {
    fields: { x: text, weights: namespace, axis: size, size: count, groups: count, epsilon: number, scale: flag, center: flag },
    parameters: (n) => scaled(n, [n.size]),
  },
  Conv: {
    fields: { ...kernel, padding: text, groups: count },
    parameters: (n) => ({ W: [...n.kernel_size, n.channels / n.groups, n.filters], ...biased(n, "b", n.filters) }),
  },
  Pool: { fields: { x: text, op: text, size: list(count), strides: list(count), padding: text } },
  Elementwise: { fields: { op: text, args: list(text) } },
  Reduce: { fields: { x: text, op: text, axes: list(size), keepdims: flag } },
  Concatenate: { fields: { args: list(text), axis: size } },
  MatMul: { fields: { a: text, b: text, transpose_b: flag } },
  Reshape: { fields: { x: text, shape: list(whole(-1n)) } },
  ExpandDims: { fields: { x: text, axis: size } },
  Squeeze: { fields: { x: text, axis: size } },
  Transpose: { fields: { x: text, axes: list(size) } },
  Slice: { fields: { x: text, axis: size, start: whole(), stop: nullable(whole()), step: whole() } },
  Flip: { fields: { x: text, axis: size } },
  Pad: { fields: { x: text, amounts: list(whole()) } },
  Repeat: { fields: { x: text, axis: size, count } },
  Where: { fields: { condition: text, a: text, b: text } },
  Cast: { fields: { x: text, dtype: text } },
  FoldTime: { fields: { x: text } },
  UnfoldTime: { fields: { x: text, like: text } },
  CausalMask: { fields: { x: text } },
  Round: { fields: { x: text } },
  CumSum: { fields: { x: text, axis: size } },
  ArgReduce: { fields: { x: text, op: text, axis: size } },
  Take: { fields: { x: text, axis: size, indices: list(whole()) } },
  Einsum: { fields: { args: list(text), equation: text } },
  ConvTranspose: {
    fields: { ...kernel, cropping: list(whole()) },
    parameters: (n) => ({ W: [...n.kernel_size, n.channels, n.filters], ...biased(n, "b", n.filters) }),
  },
};

/** A node with its fields as the rest of the reader takes them. */
export function readNode(v) {
  need(v instanceof Map && typeof v.get("node") === "string", "N06", "a node that is no object with a class");
  need(Object.hasOwn(NODES, v.get("node")), "N06", `unknown node ${v.get("node")}`);
  return fieldsOf(v, { node: text, name, ...NODES[v.get("node")].fields });
}

export const KINDS = { text, list, nullable };
