// The type of every value: {dtype, shape}, a size null where it is known only when the model runs. Rule N07.

import { broadcastShapes, isFloat, isInteger, product, range } from "./arrays.mjs";
import { need } from "./container.mjs";
import { ELEMENTWISE } from "./elementwise.mjs";
import { transposedSize, windowSize } from "./windows.mjs";

const MOST_PER_ROW = 2 ** 31;

const must = (condition, why) => need(condition, "N07", why);
const fits = (a, b) => a === null || b === null || a === b;
export const same = (a, b) => a.length === b.length && a.every((n, i) => fits(n, b[i]));
const elements = (shape) => (shape.includes(null) ? null : product(shape));

/** The names of the values that a node reads. */
export function reads(node) {
  const single = ["x", "mask", "h0", "c0", "a", "b", "condition", "like"].filter((field) => field in node);
  return [...single.map((field) => node[field]), ...(node.args ?? [])].filter((name) => name !== null);
}

const float = (type) => must(isFloat(type.dtype), `${type.dtype} where floats are read`);
const numeric = (type) => must(type.dtype !== "bool", "bool where numbers are read");
// Axis 0 is the batch.
const axisIn = (axis, { shape }) => must(axis >= 1 && axis < shape.length, `axis ${axis} of ${shape.length}`);
const axesIn = (axes, type) => {
  axes.forEach((axis) => axisIn(axis, type));
  must(axes.every((axis, i) => i === 0 || axis > axes[i - 1]), "axes that do not rise");
};
const distinct = (list) => new Set(list).size === list.length;
const replaced = (shape, axis, n) => shape.map((size, a) => (a === axis ? n : size));

/** An activation is given a value of this shape: its axis exists and is not the batch. */
function activated(activation, type, { inside = true } = {}) {
  const { axis } = activation;
  must(activation.name !== "glu" || !inside, "glu in another node than Activate");
  const { shape } = type;
  float(type);
  if (axis === undefined) return type;
  const own = axis < 0 ? axis + shape.length : axis;
  must(own > 0 && own < shape.length, `axis ${axis} of an activation of rank ${shape.length}`);
  if (activation.name !== "glu") return type;
  must(shape[own] !== null && shape[own] % 2 === 0, "glu of an odd or open size");
  return { ...type, shape: replaced(shape, own, shape[own] / 2) };
}

/** x (B, T, …) and what else a recurrent node reads; → y and its states, of `size` a row. */
function recurrent(node, get, size) {
  const x = get(node.x);
  const [ownRows, length] = x.shape;
  float(x);
  const states = [node.h0, node.c0 ?? null].filter((name) => name !== null).map(get);
  const stateRows = states.map((state) => state.shape[0]).filter((n) => n !== 1); // one row stands for all
  const rows = [ownRows, ...stateRows].find((n) => n !== null) ?? null;
  const step = { dtype: x.dtype, shape: [rows, ...size] };
  activated(node.activation, step);
  if (node.recurrent_activation) activated(node.recurrent_activation, step);
  if (node.mask !== null) {
    const mask = get(node.mask);
    must(mask.dtype === "bool" && mask.shape.length === 2, "a mask that is not bool (B, T)");
    must(fits(mask.shape[1], length) && (mask.shape[0] === 1 || fits(mask.shape[0], ownRows)), "a mask of other sizes");
  }
  const isState = ({ dtype, shape }) => dtype === x.dtype && shape.length > 0 && same(shape.slice(1), size);
  must(states.every(isState), "a state of another dtype or shape");
  must(stateRows.every((n) => fits(n, rows)), "a state of another number of rows");
  const y = node.return_sequences ? [rows, length, ...size] : step.shape;
  return [{ dtype: x.dtype, shape: y }, ...("c0" in node ? [step, step] : [step])];
}

function cell(node, get) {
  const { shape } = get(node.x);
  must(shape.length === 3 && fits(shape[2], node.input_size), `x ${shape} of a cell that reads ${node.input_size}`);
  return recurrent(node, get, [node.units]);
}

function sameRank(space, ...lists) {
  must(space.length >= 1 && space.length <= 3, "windows over none or more than three axes");
  must(lists.every((list) => list.length === space.length), "a window of another rank");
}

/** The sizes of space after windows over `space`. */
function windows(space, size, { strides, dilation = size.map(() => 1), padding }) {
  sameRank(space, size, strides, dilation);
  return space.map((n, a) => {
    if (n === null) return null;
    const [made] = windowSize(n, size[a], strides[a], dilation[a], padding);
    must(made > 0, "a window that leaves no place");
    return made;
  });
}

function channelsLast(node, x, rank) {
  float(x);
  must(x.shape.length > rank && fits(x.shape.at(-1), node.channels), `x ${x.shape} with ${node.channels} channels`);
}

function convLstm(node, get) {
  const x = get(node.x);
  channelsLast(node, x, 3);
  const made = windows(x.shape.slice(2, -1), node.kernel_size, node);
  return recurrent(node, get, [...made, node.filters]);
}

function conv(node, get) {
  const x = get(node.x);
  channelsLast(node, x, 2);
  must([node.channels, node.filters].every((n) => n % node.groups === 0), "groups that do not divide the channels");
  const made = windows(x.shape.slice(1, -1), node.kernel_size, node);
  return activated(node.activation, { dtype: x.dtype, shape: [x.shape[0], ...made, node.filters] });
}

function convTranspose(node, get) {
  const x = get(node.x);
  channelsLast(node, x, 2);
  const space = x.shape.slice(1, -1);
  must(node.cropping.length === 2 * space.length, "cropping of another rank");
  sameRank(space, node.kernel_size, node.strides, node.dilation);
  const made = space.map((n, a) => {
    const [before, after] = node.cropping.slice(2 * a, 2 * a + 2);
    must(before >= 0, "zeros before what is made");
    if (n === null) return null;
    const size = transposedSize(n, node.kernel_size[a], node.strides[a], node.dilation[a], [before, after]);
    must(size > 0, "a transposed convolution that leaves no place");
    return size;
  });
  return activated(node.activation, { dtype: x.dtype, shape: [x.shape[0], ...made, node.filters] });
}

function pool(node, get) {
  const x = get(node.x);
  float(x);
  must(x.shape.length >= 3, "no space to pool");
  const made = windows(x.shape.slice(1, -1), node.size, node);
  return { dtype: x.dtype, shape: [x.shape[0], ...made, x.shape.at(-1)] };
}

/** BatchNorm and GroupNorm. */
function normalised(node, get) {
  const x = get(node.x);
  float(x);
  axisIn(node.axis, x);
  must(fits(x.shape[node.axis], node.size), `${x.shape[node.axis]} channels instead of ${node.size}`);
  must(!node.groups || node.size % node.groups === 0, "groups that do not divide");
  return x;
}

function layerNorm(node, get) {
  const x = get(node.x);
  float(x);
  axesIn(node.axes, x);
  must(same(node.axes.map((axis) => x.shape[axis]), node.shape), "a shape of other sizes");
  return x;
}

function prelu(node, get) {
  const x = get(node.x);
  float(x);
  const [, ...sizes] = x.shape;
  const fitting = node.shape.every((n, a) => n === 1 || fits(sizes[a], n));
  must(node.shape.length === sizes.length && fitting, "alpha of another shape");
  return x;
}

/** The shape of several values broadcast, which have one dtype. */
function broadcast(types, what) {
  must(types.every((type) => type.dtype === types[0].dtype), `${what} of several dtypes`);
  const shape = types.map((type) => type.shape).reduce((a, b) => a && broadcastShapes(a, b));
  must(shape, `${what} whose sizes do not fit`);
  return { dtype: types[0].dtype, shape };
}

function elementwise(node, get) {
  const { arity, takes, bool } = ELEMENTWISE[node.op];
  must(node.args.length === arity, `${node.args.length} arguments of ${node.op}`);
  const type = broadcast(node.args.map(get), node.op);
  must(takes(type.dtype), `${node.op} of ${type.dtype}`);
  return bool ? { ...type, dtype: "bool" } : type;
}

function reduce(node, get) {
  const x = get(node.x);
  if (node.op === "mean") float(x);
  else if (["any", "all"].includes(node.op)) must(x.dtype === "bool", `${node.op} of ${x.dtype}`);
  else numeric(x);
  axesIn(node.axes, x);
  const shape = x.shape.map((n, a) => (node.axes.includes(a) ? 1 : n));
  return { dtype: x.dtype, shape: node.keepdims ? shape : shape.filter((_, a) => !node.axes.includes(a)) };
}

function concatenate(node, get) {
  const types = node.args.map(get);
  must(types.length > 0, "nothing to concatenate");
  const [{ dtype, shape }] = types;
  axisIn(node.axis, types[0]);
  const others = (type) => replaced(type.shape, node.axis, 1);
  must(types.every((type) => type.dtype === dtype && type.shape.length === shape.length), "arguments of several types");
  must(types.every((type) => same(others(type), others(types[0]))), "arguments of several sizes");
  const lengths = types.map((type) => type.shape[node.axis]);
  const total = lengths.includes(null) ? null : lengths.reduce((a, b) => a + b);
  const made = types.map((type) => type.shape).reduce((a, b) => a.map((n, i) => n ?? b[i]));
  return { dtype, shape: replaced(made, node.axis, total) };
}

function matMul(node, get) {
  const [a, b] = [get(node.a), get(node.b)];
  float(a);
  must(a.dtype === b.dtype, "matrices of two dtypes");
  must(a.shape.length >= 2 && b.shape.length >= 2, "no matrices");
  const [rows, inner] = a.shape.slice(-2);
  const [height, columns] = node.transpose_b ? b.shape.slice(-2).reverse() : b.shape.slice(-2);
  const batch = broadcastShapes(a.shape.slice(0, -2), b.shape.slice(0, -2));
  must(batch && fits(inner, height), "matrices that do not fit");
  return { dtype: a.dtype, shape: [...batch, rows, columns] };
}

function reshape(node, get) {
  const { dtype, shape } = get(node.x);
  const asked = node.shape;
  must(asked.filter((n) => n === -1).length <= 1, "several −1");
  must(asked.every((n, a) => n !== 0 || a < shape.length), "0 beyond the axes of x");
  const left = shape.filter((_, a) => asked[a] !== 0);
  const rest = left.includes(null) ? null : product(left) / product(asked.filter((n) => n > 0));
  must(rest === null || (Number.isInteger(rest) && (rest === 1 || asked.includes(-1))), "sizes that do not fit");
  return { dtype, shape: asked.map((n, a) => (n === 0 ? shape[a] : n === -1 ? rest : n)) };
}

function slice(node, get) {
  const x = get(node.x);
  axisIn(node.axis, x);
  const n = x.shape[node.axis];
  const bound = (place) => Math.min(Math.max(place < 0 ? place + n : place, 0), n);
  const made = Math.max(Math.ceil(((node.stop === null ? n : bound(node.stop)) - bound(node.start)) / node.step), 0);
  return { dtype: x.dtype, shape: replaced(x.shape, node.axis, n === null ? null : made) };
}

function pad(node, get) {
  const { dtype, shape } = get(node.x);
  const { amounts } = node;
  must(amounts.length === 2 * shape.length, "amounts");
  must(amounts[0] === 0 && amounts[1] === 0, "the batch padded");
  return { dtype, shape: shape.map((n, a) => (n === null ? null : amounts[2 * a] + n + amounts[2 * a + 1])) };
}

function einsum(node, get) {
  const types = node.args.map(get);
  must(/^[a-zA-Z]*(,[a-zA-Z]*)*->[a-zA-Z]*$/.test(node.equation), `equation ${node.equation}`);
  const [args, result] = [node.equation.split("->")[0].split(","), node.equation.split("->")[1]];
  must(args.length === types.length, `${types.length} arguments of ${node.equation}`);
  float(types[0]);
  must(types.every((type) => type.dtype === types[0].dtype), "arguments of Einsum");
  const known = {};
  args.forEach((letters, k) => {
    must(letters.length === types[k].shape.length && distinct([...letters]), `letters ${letters}`);
    [...letters].forEach((letter, axis) => {
      const n = types[k].shape[axis];
      must(fits(known[letter] ?? null, n), `several sizes of ${letter}`);
      known[letter] ??= n;
    });
  });
  must(distinct([...result]) && [...result].every((letter) => letter in known), `result ${result}`);
  return { dtype: types[0].dtype, shape: [...result].map((letter) => known[letter]) };
}

const changed = (x, shape) => ({ dtype: x.dtype, shape });

/** By node: (node, get) → its type, or a list of those of its values. `get` gives the type of a name. */
const TYPES = {
  Input({ dtype, shape }) {
    must(shape.length >= 1, "an input without a batch");
    return { dtype, shape };
  },
  Constant: ({ dtype, shape }) => ({ dtype, shape }),
  LSTM: cell,
  GRU: cell,
  SimpleRNN: cell,
  ConvLSTM: convLstm,
  Dense(node, get) {
    const x = get(node.x);
    float(x);
    must(x.shape.length >= 2 && fits(x.shape.at(-1), node.input_size), `x ${x.shape} of ${node.input_size} features`);
    return activated(node.activation, changed(x, [...x.shape.slice(0, -1), node.units]));
  },
  Embedding(node, get) {
    const x = get(node.x);
    must(isInteger(x.dtype), "ids that are no integers");
    return { dtype: node.dtype, shape: [...x.shape, node.units] };
  },
  Activate: (node, get) => activated(node.activation, get(node.x), { inside: false }),
  PReLU: prelu,
  BatchNorm: normalised,
  LayerNorm: layerNorm,
  GroupNorm: normalised,
  Conv: conv,
  ConvTranspose: convTranspose,
  Pool: pool,
  Elementwise: elementwise,
  Reduce: reduce,
  Concatenate: concatenate,
  MatMul: matMul,
  Reshape: reshape,
  ExpandDims(node, get) {
    const x = get(node.x);
    must(node.axis >= 1 && node.axis <= x.shape.length, `a new axis ${node.axis}`);
    return changed(x, [...x.shape.slice(0, node.axis), 1, ...x.shape.slice(node.axis)]);
  },
  Squeeze(node, get) {
    const x = get(node.x);
    axisIn(node.axis, x);
    must(fits(x.shape[node.axis], 1), "an axis of another size than 1");
    return changed(x, x.shape.filter((_, a) => a !== node.axis));
  },
  Transpose(node, get) {
    const x = get(node.x);
    must([...node.axes].sort((a, b) => a - b).join() === range(x.shape.length).join() && node.axes[0] === 0, "axes");
    return changed(x, node.axes.map((axis) => x.shape[axis]));
  },
  Slice: slice,
  Flip(node, get) {
    axisIn(node.axis, get(node.x));
    return get(node.x);
  },
  Pad: pad,
  Repeat(node, get) {
    const x = get(node.x);
    axisIn(node.axis, x);
    return changed(x, x.shape.map((n, a) => (a === node.axis && n !== null ? n * node.count : n)));
  },
  Where(node, get) {
    const [condition, a, b] = [node.condition, node.a, node.b].map(get);
    must(condition.dtype === "bool", "a condition that is not bool");
    return broadcast([{ ...condition, dtype: a.dtype }, a, b], "Where");
  },
  Cast(node, get) {
    return { dtype: node.dtype, shape: get(node.x).shape };
  },
  FoldTime(node, get) {
    const x = get(node.x);
    must(x.shape.length >= 2, "no time to fold");
    return changed(x, [elements(x.shape.slice(0, 2)), ...x.shape.slice(2)]);
  },
  UnfoldTime(node, get) {
    const [x, like] = [get(node.x), get(node.like)];
    must(x.shape.length >= 1 && like.shape.length >= 2, "no time to unfold");
    must(fits(elements(like.shape.slice(0, 2)), x.shape[0]), "another number of rows");
    return changed(x, [...like.shape.slice(0, 2), ...x.shape.slice(1)]);
  },
  CausalMask(node, get) {
    const { shape } = get(node.x);
    must(shape.length >= 3, "no batch of rows and columns");
    return { dtype: "bool", shape: [...shape.slice(0, -2).map(() => 1), ...shape.slice(-2)] };
  },
  Round(node, get) {
    float(get(node.x));
    return get(node.x);
  },
  CumSum(node, get) {
    numeric(get(node.x));
    axisIn(node.axis, get(node.x));
    return get(node.x);
  },
  ArgReduce(node, get) {
    const x = get(node.x);
    numeric(x);
    axisIn(node.axis, x);
    return { dtype: "int32", shape: x.shape.filter((_, a) => a !== node.axis) };
  },
  Take(node, get) {
    const x = get(node.x);
    axisIn(node.axis, x);
    const n = x.shape[node.axis];
    must(n === null || node.indices.every((i) => i >= -n && i < n), "an index beyond the axis");
    return changed(x, replaced(x.shape, node.axis, node.indices.length));
  },
  Einsum: einsum,
};

/** The type of every value of a graph; refuses what reads a value that no node before has made. */
export function inferTypes(graph) {
  const types = new Map();
  const get = (name) => {
    must(types.has(name), `${name} is made by no node before`);
    return types.get(name);
  };
  for (const node of graph.nodes) {
    reads(node).forEach(get);
    const made = TYPES[node.node](node, get);
    const [first, ...states] = Array.isArray(made) ? made : [made];
    types.set(node.name, first);
    states.forEach((state, i) => types.set(`${node.name}:${"hc"[i]}`, state));
    const perRow = product(first.shape.slice(1).map((n) => n ?? 1));
    must(perRow <= MOST_PER_ROW, `a value of ${perRow} elements per row`);
  }
  graph.outputs.forEach(get);
  return types;
}
