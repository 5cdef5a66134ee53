// What each node computes, in float64. Types were checked before; what only the data show is an Error here.

import { activate } from "./activations.mjs";
import * as nd from "./arrays.mjs";
import { fail, map, product, range, reshape, take } from "./arrays.mjs";
import { ELEMENTWISE } from "./elementwise.mjs";
import { scaleAxis } from "./fields.mjs";
import { same } from "./types.mjs";
import { convolve, pool, transposedTaps, windowTaps } from "./windows.mjs";

const add = (...args) => args.reduce((a, b) => map(a.dtype, (x, y) => x + y, a, b));
const mean = (row) => row.reduce((sum, x) => sum + x, 0) / row.length;

/** By op of Reduce: of the numbers, floats or BigInts, and the 0 of their dtype. */
const REDUCE = {
  sum: (row, zero) => row.reduce((a, b) => a + b, zero),
  mean,
  max: (row) => row.reduce(ELEMENTWISE.maximum.f), // an error of nothing
  min: (row) => row.reduce(ELEMENTWISE.minimum.f),
  any: (row) => (row.includes(1) ? 1 : 0),
  all: (row) => (row.includes(0) ? 0 : 1),
};

/** A vector along `axis` of x, ready to be broadcast. */
function along(vector, axis, x) {
  if (x.shape[axis] !== vector.shape[0]) fail(`${x.shape[axis]} channels instead of ${vector.shape[0]}`);
  return reshape(vector, x.shape.map((n, a) => (a === axis ? n : 1)));
}

/** act(z + b), with b only where the node has one. */
const finished = (node, z, p) => activate(node.activation, node.use_bias ? add(z, p("b")) : z);

/** z * gamma + beta, with what there is of them along `axis`. */
function scaledAndCentred(node, z, p) {
  const scaled = node.scale ? map(z.dtype, (x, g) => x * g, z, along(p("gamma"), node.axis, z)) : z;
  return node.center ? add(scaled, along(p("beta"), node.axis, z)) : scaled;
}

/** (x − mean) / √(variance + epsilon) of a row; for `rms`, x is not centred, but the variance is. */
function normalised(row, epsilon, rms = false) {
  const centre = mean(row);
  const deviation = Math.sqrt(mean(row.map((x) => (x - centre) ** 2)) + epsilon);
  return row.map((x) => (x - (rms ? 0 : centre)) / deviation);
}

/**
 * The steps of a recurrent node over x (B, T, …), with masks, directions and states.
 * @param step  (x_t, states) → states after it; the first is h, the output
 * @param size  the shape of a state of one row
 */
function recurrence(node, value, step, size) {
  const x = value(node.x);
  const [rows, length] = x.shape;
  if (length === 0) fail(`${node.name}: a sequence of no steps`);
  const shape = [rows, ...size];
  const fitting = (array, rest) =>
    array.shape.slice(1).join() === rest.join() ? array : fail(`${node.name}: sizes ${array.shape} of a mask or state`);
  const start = (name) => (name ? nd.broadcastTo(fitting(value(name), size), shape) : nd.zeros(x.dtype, shape));
  let states = "c0" in node ? [start(node.h0), start(node.c0)] : [start(node.h0)];
  let output = nd.zeros(x.dtype, shape); // zero even where h0 is given
  const outputs = [];
  const column = [rows, ...size.map(() => 1)];
  const mask = node.mask && nd.broadcastTo(fitting(value(node.mask), [length]), [rows, length]);
  for (const t of node.go_backwards ? range(length).reverse() : range(length)) {
    const next = step(reshape(take(x, 1, [t]), [rows, ...x.shape.slice(2)]), states).map((s) => nd.cast(s, x.dtype));
    const valid = mask && reshape(take(mask, 1, [t]), column);
    const chosen = (yes, no) => (mask ? map(x.dtype, (m, a, b) => (m ? a : b), valid, yes, no) : yes);
    output = chosen(next[0], node.zero_output_for_mask ? nd.zeros(x.dtype, shape) : output);
    states = next.map((state, i) => chosen(state, states[i]));
    outputs.push(reshape(output, [rows, 1, ...size]));
  }
  const y = node.return_sequences ? nd.concatenate(outputs, 1) : output;
  return [y, ...states];
}

/** The step of LSTM, with how x_t and h are multiplied by a kernel. */
function lstmStep(node, p, { byInput = nd.matmul, byState = nd.matmul } = {}) {
  const σ = (z) => activate(node.recurrent_activation, z);
  const act = (z) => activate(node.activation, z);
  const bias = (gate) => (node.use_bias ? [p(`b_${gate}`)] : []);
  return (x, [h, c]) => {
    const z = (gate) => add(byInput(x, p(`W_${gate}`)), byState(h, p(`U_${gate}`)), ...bias(gate));
    const [i, f, o] = [σ(z("i")), σ(z("f")), σ(z("o"))];
    const next = map(c.dtype, (f, c, i, candidate) => f * c + i * candidate, f, c, i, act(z("c")));
    return [map(c.dtype, (o, a) => o * a, o, act(next)), next];
  };
}

function gruStep(node, p) {
  const σ = (z) => activate(node.recurrent_activation, z);
  const bias = (name) => (node.use_bias ? [p(name)] : []);
  const inner = (gate) => (node.reset_after ? bias(`bU_${gate}`) : []);
  return (x, [h]) => {
    const input = (gate) => add(nd.matmul(x, p(`W_${gate}`)), ...bias(`b_${gate}`));
    const state = (gate, from = h) => add(nd.matmul(from, p(`U_${gate}`)), ...inner(gate));
    const [z, r] = ["z", "r"].map((gate) => σ(add(input(gate), state(gate))));
    const reset = (y) => map(h.dtype, (r, y) => r * y, r, y);
    const candidate = add(input("h"), node.reset_after ? reset(state("h")) : state("h", reset(h)));
    return [map(h.dtype, (z, h, new_) => z * h + (1 - z) * new_, z, h, activate(node.activation, candidate))];
  };
}

function simpleStep(node, p) {
  const bias = node.use_bias ? [p("b_h")] : [];
  return (x, [h]) => [activate(node.activation, add(nd.matmul(x, p("W_h")), nd.matmul(h, p("U_h")), ...bias))];
}

function convLstm(node, value, p) {
  const space = value(node.x).shape.slice(2, -1);
  const taps = windowTaps(space, { ...node, size: node.kernel_size });
  const out = taps.map((places) => places[0].length);
  const ones = out.map(() => 1);
  const back = windowTaps(out, { size: node.kernel_size, strides: ones, dilation: ones, padding: "same" });
  const step = lstmStep(node, p, { byInput: (x, w) => convolve(x, w, taps), byState: (h, u) => convolve(h, u, back) });
  return recurrence(node, value, step, [...out, node.filters]);
}

function groupNorm(node, x, p) {
  if (x.shape[node.axis] !== node.size) fail(`${node.name}: ${x.shape[node.axis]} channels instead of ${node.size}`);
  const split = x.shape.flatMap((n, a) => (a === node.axis ? [node.groups, n / node.groups] : [n]));
  const axes = range(split.length).filter((a) => a !== 0 && a !== node.axis);
  const made = nd.overAxes(reshape(x, split), axes, (row) => normalised(row, node.epsilon));
  return scaledAndCentred(node, reshape(made, x.shape), p);
}

function matMul(a, b, transposed) {
  const rank = b.shape.length;
  const right = transposed ? nd.transpose(b, [...range(rank - 2), rank - 1, rank - 2]) : b;
  const batch = nd.broadcastShapes(a.shape.slice(0, -2), right.shape.slice(0, -2));
  const wide = (x) => nd.broadcastTo(x, [...batch, ...x.shape.slice(-2)]);
  const letters = batch.map((_, i) => String.fromCharCode(65 + i)).join("");
  return nd.einsum(`${letters}ij,${letters}jk->${letters}ik`, [wide(a), wide(right)]);
}

/** Places of a Python slice of n places. */
function sliced(n, { start, stop, step }) {
  const bound = (place) => Math.min(Math.max(place < 0 ? place + n : place, 0), n);
  const [from, to] = [bound(start), stop === null ? n : bound(stop)];
  return range(Math.max(Math.ceil((to - from) / step), 0), from, step);
}

function embedding(node, ids, p) {
  const places = Array.from(ids.data, Number);
  if (places.some((id) => !(id >= 0 && id < node.input_size))) fail(`${node.name}: an id outside the table`);
  return reshape(take(p("E"), 0, places), [...ids.shape, node.units]);
}

const reshaped = (x, shape) =>
  product(shape) === product(x.shape) ? reshape(x, shape) : fail(`sizes ${x.shape} do not fit ${shape}`);

/** The shape that Reshape makes: 0 keeps a size, −1 takes what is left of the others. */
function newShape(shape, asked) {
  const left = product(shape.filter((_, a) => asked[a] !== 0)) / product(asked.filter((n) => n > 0));
  if (!Number.isInteger(left) || (left !== 1 && !asked.includes(-1))) fail(`sizes ${shape} do not fit ${asked}`);
  return asked.map((n, a) => (n === 0 ? shape[a] : n === -1 ? left : n));
}

function argReduce(row, op) {
  if (row.length === 0) fail(`the ${op} of nothing`);
  const beats = (a, b) => Number.isNaN(a) || (op === "max" ? a > b : a < b);
  let best = 0;
  for (let i = 1; i < row.length && !Number.isNaN(row[best]); i++) if (beats(row[i], row[best])) best = i;
  return [BigInt(best)];
}

function running(row) {
  const sums = row.slice();
  for (let i = 1; i < sums.length; i++) sums[i] += sums[i - 1];
  return sums;
}

const insert = (shape, axis, n) => [...shape.slice(0, axis), n, ...shape.slice(axis)];
const without = (shape, axis) => shape.filter((_, a) => a !== axis);

/** By node: (node, value, p) → the values it makes, a list where it makes several. `value` gives what a name stands
 * for, `p` a parameter in the dtype that the node computes in. */
const NODES = {
  Constant: (n, v, p) => p("value"),
  LSTM: (n, v, p) => recurrence(n, v, lstmStep(n, p), [n.units]),
  GRU: (n, v, p) => recurrence(n, v, gruStep(n, p), [n.units]),
  SimpleRNN: (n, v, p) => recurrence(n, v, simpleStep(n, p), [n.units]),
  ConvLSTM: convLstm,
  Dense: (n, v, p) => finished(n, nd.matmul(v(n.x), p("W")), p),
  Embedding: (n, v, p) => embedding(n, v(n.x), p),
  Activate: (n, v) => activate(n.activation, v(n.x)),
  PReLU(n, v, p) {
    const alpha = nd.broadcastTo(p("alpha"), v(n.x).shape.slice(1));
    return map(alpha.dtype, (x, alpha) => Math.max(x, 0) + alpha * Math.min(x, 0), v(n.x), alpha);
  },
  BatchNorm(n, v, p) {
    const x = v(n.x);
    const [centre, variance] = ["mean", "variance"].map((name) => along(p(name), n.axis, x));
    return scaledAndCentred(n, map(x.dtype, (x, m, s) => (x - m) / Math.sqrt(s + n.epsilon), x, centre, variance), p);
  },
  LayerNorm(n, v, p) {
    if (!same(n.axes.map((axis) => v(n.x).shape[axis]), n.shape)) fail(`${n.name}: x of other sizes than ${n.shape}`);
    const [gamma, beta] = [n.scale ? p("gamma").data : null, n.center ? p("beta").data : null];
    const affine = (x, i) => x * (gamma ? gamma[i] : 1) + (beta ? beta[i] : 0);
    return nd.overAxes(v(n.x), n.axes, (row) => normalised(row, n.epsilon, n.rms).map(affine));
  },
  GroupNorm: (n, v, p) => groupNorm(n, v(n.x), p),
  Conv(n, v, p) {
    const x = v(n.x);
    const taps = windowTaps(x.shape.slice(1, -1), { ...n, size: n.kernel_size });
    return finished(n, convolve(x, p("W"), taps, n.groups), p);
  },
  ConvTranspose: (n, v, p) => finished(n, convolve(v(n.x), p("W"), transposedTaps(v(n.x).shape.slice(1, -1), n)), p),
  Pool: (n, v) => pool(v(n.x), n),
  Elementwise(n, v) {
    const args = n.args.map(v);
    const { f, bool } = ELEMENTWISE[n.op];
    return map(bool ? "bool" : args[0].dtype, f, ...args);
  },
  Reduce(n, v) {
    const x = v(n.x);
    const row = (values) => [REDUCE[n.op](values, nd.isInteger(x.dtype) ? 0n : 0)];
    const made = nd.overAxes(x, n.axes, row, { sizes: n.axes.map(() => 1) });
    return n.keepdims ? made : reshape(made, made.shape.filter((_, a) => !n.axes.includes(a)));
  },
  Concatenate: (n, v) => nd.concatenate(n.args.map(v), n.axis),
  MatMul: (n, v) => matMul(v(n.a), v(n.b), n.transpose_b),
  Reshape: (n, v) => reshape(v(n.x), newShape(v(n.x).shape, n.shape)),
  ExpandDims: (n, v) => reshape(v(n.x), insert(v(n.x).shape, n.axis, 1)),
  Squeeze: (n, v) => reshaped(v(n.x), without(v(n.x).shape, n.axis)),
  Transpose: (n, v) => nd.transpose(v(n.x), n.axes),
  Slice: (n, v) => take(v(n.x), n.axis, sliced(v(n.x).shape[n.axis], n)),
  Flip: (n, v) => take(v(n.x), n.axis, range(v(n.x).shape[n.axis]).reverse()),
  Pad(n, v) {
    const zeros = (amount) => Array(amount).fill(-1);
    const padded = (size, a) => [...zeros(n.amounts[2 * a]), ...range(size), ...zeros(n.amounts[2 * a + 1])];
    return nd.select(v(n.x), v(n.x).shape.map(padded));
  },
  Repeat: (n, v) => take(v(n.x), n.axis, range(v(n.x).shape[n.axis] * n.count).map((i) => Math.floor(i / n.count))),
  Where: (n, v) => map(v(n.a).dtype, (yes, a, b) => (yes ? a : b), v(n.condition), v(n.a), v(n.b)),
  Cast: (n, v) => nd.cast(v(n.x), n.dtype),
  FoldTime: (n, v) => reshape(v(n.x), [v(n.x).shape[0] * v(n.x).shape[1], ...v(n.x).shape.slice(2)]),
  UnfoldTime: (n, v) => reshaped(v(n.x), [...v(n.like).shape.slice(0, 2), ...v(n.x).shape.slice(1)]),
  CausalMask(n, v) {
    const { shape } = v(n.x);
    const [rows, columns] = shape.slice(-2);
    const made = nd.zeros("bool", [...shape.slice(0, -2).fill(1), rows, columns]);
    made.data.forEach((_, i) => (made.data[i] = i % columns <= Math.floor(i / columns) ? 1 : 0));
    return made;
  },
  Round: (n, v) => map(v(n.x).dtype, nd.roundHalfEven, v(n.x)),
  CumSum: (n, v) => nd.overAxes(v(n.x), [n.axis], running),
  ArgReduce(n, v) {
    const made = nd.overAxes(v(n.x), [n.axis], (row) => argReduce(row, n.op), { sizes: [1], dtype: "int32" });
    return reshape(made, without(made.shape, n.axis));
  },
  Take(n, v) {
    const size = v(n.x).shape[n.axis];
    const places = n.indices.map((i) => (i < 0 ? i + size : i));
    if (places.some((i) => i < 0 || i >= size)) fail(`${n.name}: an index beyond the axis`);
    return take(v(n.x), n.axis, places);
  },
  Einsum: (n, v) => nd.einsum(n.equation, n.args.map(v)),
};

/** What a reader is given for an Input, in its dtype. */
function given(x, { name, dtype }) {
  const made = nd.cast(x, dtype);
  const tooLarge = nd.isFloat(dtype) && made.data.some((y, i) => Math.abs(y) === Infinity && y !== x.data[i]);
  return tooLarge ? fail(`a number too large for ${dtype} in input ${name}`) : made;
}

/** A parameter as float32 where it is stored as int8, else as it is stored. */
function widened(arrays, p, key) {
  const [q, scales] = [arrays.get(key), arrays.get(`${key}.scale`)];
  if (!scales || scaleAxis(p, q.shape) === undefined) return q;
  return map("float32", (q, s) => Math.fround(Number(q) * s), q, along(scales, scaleAxis(p, q.shape), q));
}

/** The values of a graph by name. `types` has the dtype of each value, `arrays` the tensors, `inputs` those given. */
export function evaluate(graph, types, arrays, inputs) {
  const values = new Map();
  const cache = new Map();
  const value = (name) => values.get(name);
  const keep = (name, made) => {
    const { shape } = types.get(name);
    if (!same(shape, made.shape)) fail(`${name} has sizes ${made.shape} instead of ${shape}`);
    values.set(name, nd.cast(made, made.dtype)); // rounded to its dtype
  };
  for (const node of graph.nodes) {
    const { dtype } = types.get(node.name);
    const parameter = (name) => {
      const key = `${node.weights || node.name}/${name}`;
      if (!cache.has(`${dtype} ${key}`)) cache.set(`${dtype} ${key}`, nd.cast(widened(arrays, name, key), dtype));
      return cache.get(`${dtype} ${key}`);
    };
    const made = node.node === "Input" ? given(inputs.get(node.name), node) : NODES[node.node](node, value, parameter);
    const [first, ...states] = Array.isArray(made) ? made : [made];
    keep(node.name, first);
    states.forEach((state, i) => keep(`${node.name}:${"hc"[i]}`, state));
  }
  return values;
}
