// The fields and parameters of every node, as FORMAT.md lists them. Rule N06.

import { ACTIVATIONS } from "./activations.mjs";
import { DTYPES, FLOATS } from "./arrays.mjs";
import { need } from "./container.mjs";
import { ELEMENTWISE } from "./elementwise.mjs";

// A kind takes what the JSON has, and gives what the rest of the reader works with or refuses it. `old` collects the
// spellings that format 1.0 allows and 1.1 does not.
const LARGEST = 2n ** 53n - 1n;
const refuse = (condition, why) => need(condition, "N06", why);

const whole = (least = -LARGEST) => (v) => {
  refuse(typeof v === "bigint" && v >= least && v <= LARGEST, `${v} is no whole number from ${least} on`);
  return Number(v);
};
const size = whole(0n);
const count = whole(1n);
const number = (v, old) => {
  if (typeof v === "bigint") old.push(`${v} without a fraction`);
  return typeof v === "bigint" ? whole()(v) : checked(v, typeof v === "number", "no number");
};
const axis = (v, old) => {
  if (typeof v !== "bigint" || v < 1n) old.push(`axis ${v} of an activation`);
  return typeof v === "bigint" ? whole()(v) : checked(v, Number.isSafeInteger(v), "no axis");
};
const checked = (v, condition, why) => {
  refuse(condition, why);
  return v;
};
const text = (v) => checked(v, typeof v === "string", "no text");
const flag = (v) => checked(v, typeof v === "boolean", "neither true nor false");
const oneOf = (texts) => (v) => checked(v, texts.includes(v), `none of ${texts.join(", ")}`);
const list = (kind, most = Infinity) => (v, old) => {
  refuse(Array.isArray(v) && v.length <= most, `no list of at most ${most}`);
  return v.map((item) => kind(item, old));
};
const nullable = (kind) => (v, old) => (v === null ? null : kind(v, old));
const NAME = /^[^$/:\u0000-\u001f\u007f-\u009f][^/:\u0000-\u001f\u007f-\u009f]*$/;
const name = (v) => checked(v, NAME.test(text(v)), `${v} is no name`);
const namespace = (v, old) => {
  if (v === "") old.push("empty weights");
  return v === "" ? v : name(v);
};
const dtype = oneOf(DTYPES);
const padding = oneOf(["valid", "same", "causal"]);
const CONSTANTS = { number, "number?": nullable(number), axis };

const activation = (v, old) => {
  refuse(v instanceof Map && Object.hasOwn(ACTIVATIONS, v.get("name")), "an unknown activation");
  const { constants = {} } = ACTIVATIONS[v.get("name")];
  const kinds = Object.fromEntries(Object.entries(constants).map(([constant, kind]) => [constant, CONSTANTS[kind]]));
  return fieldsOf(v, { name: text, ...kinds }, { old });
};

/** An object with exactly these fields, as {field: kind}. */
export function fieldsOf(v, kinds, { rule = "N06", old = [] } = {}) {
  need(v instanceof Map, rule, "no object");
  for (const field of v.keys()) need(Object.hasOwn(kinds, field), rule, `unknown field ${field}`);
  for (const field of Object.keys(kinds)) need(v.has(field), rule, `no field ${field}`);
  return Object.fromEntries(Object.entries(kinds).map(([field, kind]) => [field, kind(v.get(field), old)]));
}

/** A parameter of each of `shapes` for every gate. */
function gates(letters, shapes) {
  const names = (p, shape) => [...letters].map((gate) => [`${p}_${gate}`, shape]);
  return Object.fromEntries(Object.entries(shapes).flatMap(([p, shape]) => names(p, shape)));
}
const cell = (letters) => (n) => {
  const inner = n.reset_after ? biased(n, "bU", n.units) : {};
  return gates(letters, { W: [n.input_size, n.units], U: [n.units, n.units], ...biased(n, "b", n.units), ...inner });
};
function convCell(n) {
  const [W, U] = [n.channels, n.filters].map((channels) => [...n.kernel_size, channels, n.filters]);
  return gates("ifco", { W, U, ...biased(n, "b", n.filters) });
}
const scaled = (n, shape) => ({ ...(n.scale && { gamma: shape }), ...(n.center && { beta: shape }) });
const biased = (n, p, length) => (n.use_bias ? { [p]: [length] } : {});

const sequence = {
  x: text,
  mask: nullable(text),
  h0: nullable(text),
  weights: namespace,
  use_bias: flag,
  activation,
  return_sequences: flag,
  go_backwards: flag,
  zero_output_for_mask: flag,
  stateful: flag,
};
const recurrent = { ...sequence, input_size: count, units: count };
const perAxis = list(count);
const kernel = {
  x: text,
  weights: namespace,
  channels: count,
  filters: count,
  kernel_size: perAxis,
  strides: perAxis,
  dilation: perAxis,
  use_bias: flag,
  activation,
};
const normal = { x: text, weights: namespace, epsilon: number, scale: flag, center: flag };

/** By node: its fields, its parameters with their shapes, and whether it came with format 1.1. */
export const NODES = {
  Input: { fields: { shape: list(nullable(size)), dtype } },
  Constant: { fields: { shape: list(size), dtype }, parameters: (n) => ({ value: n.shape }) },
  LSTM: { fields: { ...recurrent, c0: nullable(text), recurrent_activation: activation }, parameters: cell("ifco") },
  GRU: { fields: { ...recurrent, recurrent_activation: activation, reset_after: flag }, parameters: cell("zrh") },
  SimpleRNN: { fields: recurrent, parameters: cell("h") },
  ConvLSTM: {
    fields: { ...sequence, ...kernel, padding, c0: nullable(text), recurrent_activation: activation },
    parameters: convCell,
  },
  Dense: {
    fields: { x: text, weights: namespace, input_size: count, units: count, use_bias: flag, activation },
    parameters: (n) => ({ W: [n.input_size, n.units], ...biased(n, "b", n.units) }),
  },
  Embedding: {
    fields: { x: text, weights: namespace, input_size: count, units: count, dtype: oneOf(FLOATS) },
    parameters: (n) => ({ E: [n.input_size, n.units] }),
  },
  Activate: { fields: { x: text, activation } },
  PReLU: { fields: { x: text, weights: namespace, shape: list(size) }, parameters: (n) => ({ alpha: n.shape }) },
  BatchNorm: {
    fields: { ...normal, axis: whole(), size: count },
    parameters: (n) => ({ ...scaled(n, [n.size]), mean: [n.size], variance: [n.size] }),
  },
  LayerNorm: {
    fields: { ...normal, axes: list(whole()), shape: list(size), rms: flag },
    parameters: (n) => scaled(n, n.shape),
  },
  GroupNorm: {
    fields: { ...normal, axis: whole(), size: count, groups: count },
    parameters: (n) => scaled(n, [n.size]),
  },
  Conv: {
    fields: { ...kernel, padding, groups: count },
    parameters: (n) => ({ W: [...n.kernel_size, Math.floor(n.channels / n.groups), n.filters], ...biased(n, "b", n.filters) }),
  },
  Pool: { fields: { x: text, op: oneOf(["max", "mean"]), size: perAxis, strides: perAxis, padding } },
  Elementwise: { fields: { op: oneOf(Object.keys(ELEMENTWISE)), args: list(text) } },
  Reduce: {
    fields: { x: text, op: oneOf(["mean", "sum", "max", "min", "any", "all"]), axes: list(whole()), keepdims: flag },
  },
  Concatenate: { fields: { args: list(text), axis: whole() } },
  MatMul: { fields: { a: text, b: text, transpose_b: flag } },
  Reshape: { fields: { x: text, shape: list(whole(-1n)) } },
  ExpandDims: { fields: { x: text, axis: whole() } },
  Squeeze: { fields: { x: text, axis: whole() } },
  Transpose: { fields: { x: text, axes: list(whole()) } },
  Slice: { fields: { x: text, axis: whole(), start: whole(), stop: nullable(whole()), step: count } },
  Flip: { fields: { x: text, axis: whole() } },
  Pad: { fields: { x: text, amounts: list(size) } },
  Repeat: { fields: { x: text, axis: whole(), count } },
  Where: { fields: { condition: text, a: text, b: text } },
  Cast: { fields: { x: text, dtype } },
  FoldTime: { fields: { x: text } },
  UnfoldTime: { fields: { x: text, like: text } },
  CausalMask: { fields: { x: text } },
  Round: { fields: { x: text }, new: true },
  CumSum: { fields: { x: text, axis: whole() }, new: true },
  ArgReduce: { fields: { x: text, op: oneOf(["max", "min"]), axis: whole() }, new: true },
  Take: { fields: { x: text, axis: whole(), indices: list(whole()) }, new: true },
  Einsum: { fields: { args: list(text), equation: text }, new: true },
  ConvTranspose: {
    fields: { ...kernel, cropping: list(whole()) },
    parameters: (n) => ({ W: [...n.kernel_size, n.channels, n.filters], ...biased(n, "b", n.filters) }),
    new: true,
  },
};

/** The axis of a parameter that its scales run along where it is int8; undefined where it may not be. */
export const scaleAxis = (p, shape) => (p === "E" ? 0 : /^[WU](_|$)/.test(p) ? shape.length - 1 : undefined);

/** A node with its fields as the rest of the reader takes them. */
export function readNode(v, old) {
  need(v instanceof Map && typeof v.get("node") === "string", "N06", "a node that is no object with a class");
  need(Object.hasOwn(NODES, v.get("node")), "N06", `unknown node ${v.get("node")}`);
  return fieldsOf(v, { node: text, name, ...NODES[v.get("node")].fields }, { old });
}

export const KINDS = { text, list, nullable };
