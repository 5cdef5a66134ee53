// The activations of FORMAT.md: the constants of each, and what it computes, in float64.

import { map, overAxes } from "./arrays.mjs";

const sigmoid = (x) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x)));
const softplus = (x) => positive(x) + Math.log1p(Math.exp(-Math.abs(x)));
const positive = (x) => (x < 0 ? 0 : x); // keeps NaN
const clip = (x, low, high) => (x < low ? low : x > high ? high : x);
const hardSigmoid = (x, c) => clip(c.slope * x + c.offset, 0, 1);
const elu = (x, alpha) => (x < 0 ? alpha * Math.expm1(x) : x);

/** The normal distribution function Φ: by the series of erf (Abramowitz & Stegun 7.1.6) and, where it would cancel, by
 * the continued fraction of erfc (7.1.14). */
function normal(x) {
  const z = Math.abs(x) / Math.SQRT2;
  if (Number.isNaN(x)) return x;
  if (z < 2.5) {
    let [term, sum] = [z, z];
    for (let n = 1; term > sum * 1e-17; n++) sum += term *= (2 * z * z) / (2 * n + 1);
    return 0.5 + (Math.sign(x) * Math.exp(-z * z) * sum) / Math.sqrt(Math.PI);
  }
  let fraction = z;
  for (let n = 60; n > 0; n--) fraction = z + n / 2 / fraction;
  const tail = Math.exp(-z * z) / fraction / Math.sqrt(Math.PI) / 2;
  return x < 0 ? tail : 1 - tail;
}

/** In the order of FORMAT.md: the threshold, the cut, the slope, which no cut follows. */
function relu(x, { max_value: most, negative_slope: slope, threshold }) {
  const above = threshold === 0 ? positive(x) : x > threshold ? x : 0;
  const cut = most === null ? above : Math.min(positive(above), most);
  return slope === 0 ? cut : cut - slope * positive(threshold - x);
}

const softShrink = (x, by) => (x > by ? x - by : x < -by ? x + by : 0);

function shifted(row) {
  const largest = row.reduce((a, b) => Math.max(a, b), -Infinity);
  return row.map((x) => x - largest);
}

function softmax(row) {
  const powers = shifted(row).map(Math.exp);
  const sum = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / sum);
}

function logSoftmax(row) {
  const moved = shifted(row);
  const log = Math.log(moved.reduce((sum, x) => sum + Math.exp(x), 0));
  return moved.map((x) => x - log);
}

/** max(x − τ, 0), τ = (S − 1) / K: over the K places of the support, S sums the sums of the k largest. */
function sparsemax(row) {
  const falling = Float64Array.from(row).sort().reverse();
  let [largest, sum, count] = [0, 0, 0];
  falling.forEach((x, i) => {
    largest += x;
    if (x - (largest - 1) / (i + 1) > 0) [sum, count] = [sum + largest, count + 1];
  });
  const tau = (sum - 1) / count;
  return row.map((x) => positive(x - tau));
}

function glu(row) {
  const half = row.length / 2;
  return row.subarray(0, half).map((a, i) => a * sigmoid(row[half + i]));
}

/** By name: the constants, each "number", "number?" (may be null) or "axis"; and f(x, constants), or along(row). */
export const ACTIVATIONS = {
  linear: { f: (x) => x },
  relu: { constants: { max_value: "number?", negative_slope: "number", threshold: "number" }, f: relu },
  sigmoid: { f: sigmoid },
  tanh: { f: Math.tanh },
  hard_sigmoid: { constants: { slope: "number", offset: "number" }, f: hardSigmoid },
  softmax: { constants: { axis: "axis" }, along: softmax },
  log_softmax: { constants: { axis: "axis" }, along: logSoftmax },
  softplus: { f: softplus },
  softsign: { f: (x) => x / (1 + Math.abs(x)) },
  elu: { constants: { alpha: "number" }, f: (x, c) => elu(x, c.alpha) },
  selu: { f: (x) => 1.05070098 * elu(x, 1.67326324) },
  celu: { constants: { alpha: "number" }, f: (x, c) => (x < 0 ? c.alpha * Math.expm1(x / c.alpha) : x) },
  exponential: { f: Math.exp },
  gelu: { f: (x) => x * normal(x) },
  gelu_tanh: { f: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))) },
  silu: { f: (x) => x * sigmoid(x) },
  hard_silu: { constants: { slope: "number", offset: "number" }, f: (x, c) => x * hardSigmoid(x, c) },
  mish: { f: (x) => x * Math.tanh(softplus(x)) },
  glu: { constants: { axis: "axis" }, along: glu },
  hard_shrink: { constants: { threshold: "number" }, f: (x, c) => (Math.abs(x) > c.threshold ? x : 0) },
  soft_shrink: { constants: { threshold: "number" }, f: (x, c) => softShrink(x, c.threshold) },
  tanh_shrink: { f: (x) => x - Math.tanh(x) },
  hard_tanh: { f: (x) => clip(x, -1, 1) },
  log_sigmoid: { f: (x) => -softplus(-x) },
  sparse_plus: { f: (x) => (x <= -1 ? 0 : x >= 1 ? x : 0.25 * (x + 1) ** 2) },
  sparse_sigmoid: { f: (x) => clip(0.5 * (x + 1), 0, 1) },
  sparsemax: { constants: { axis: "axis" }, along: sparsemax },
  squareplus: { constants: { b: "number" }, f: (x, c) => 0.5 * (x + Math.sqrt(x * x + c.b)) },
  threshold: {
    constants: { threshold: "number", default_value: "number" },
    f: (x, c) => (x > c.threshold ? x : c.default_value),
  },
};

/** The activation of every number of x, or of every row along its axis. */
export function activate(activation, x) {
  const { f, along } = ACTIVATIONS[activation.name];
  if (activation.name === "linear") return x;
  if (f) return map(x.dtype, (value) => f(value, activation), x);
  const axis = activation.axis < 0 ? activation.axis + x.shape.length : activation.axis;
  const size = activation.name === "glu" ? x.shape[axis] / 2 : x.shape[axis];
  return overAxes(x, [axis], (row) => along(row), { sizes: [size] });
}
