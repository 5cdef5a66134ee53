// Arrays {dtype, shape, data}, row-major. Floats are held in float64, integers as BigInts, bool as 0 and 1.

const BITS = { int8: 8, int16: 16, int32: 32, int64: 64, uint8: 8, uint16: 16, uint32: 32 };
export const FLOATS = ["float16", "bfloat16", "float32", "float64"];
export const DTYPES = [...FLOATS, ...Object.keys(BITS), "bool"];
export const isFloat = (dtype) => FLOATS.includes(dtype);
export const isInteger = (dtype) => dtype in BITS;
export const isHalf = (dtype) => dtype === "float16" || dtype === "bfloat16";

// Binary digits, least exponent, largest number.
const HALVES = { float16: [11, -14, 65504], bfloat16: [8, -126, 2 ** 127 * (2 - 2 ** -7)] };

export const range = (n, from = 0, step = 1) => Array.from({ length: n }, (_, i) => from + i * step);
export const product = (sizes) => sizes.reduce((a, b) => a * b, 1);

/** An array of zeros. */
export function zeros(dtype, shape) {
  const Store = isFloat(dtype) ? Float64Array : isInteger(dtype) ? BigInt64Array : Uint8Array;
  return { dtype, shape, data: new Store(product(shape)) };
}

/** How far apart in the data neighbours along each axis are. */
const strides = (shape) => shape.map((_, axis) => product(shape.slice(axis + 1)));

/** Every sum of one number of each list, the last list varying fastest: the offsets of a grid of places. */
function sums(lists) {
  let made = Float64Array.of(0);
  for (const list of lists) {
    const next = new Float64Array(made.length * list.length);
    let at = 0;
    for (const sum of made) for (const step of list) next[at++] = sum + step;
    made = next;
  }
  return made;
}

function gather(x, shape, offsets, fill = isInteger(x.dtype) ? 0n : 0) {
  const made = zeros(x.dtype, shape);
  for (let i = 0; i < offsets.length; i++) made.data[i] = offsets[i] < 0 ? fill : x.data[offsets[i]];
  return made;
}

/** x at `places[axis]` of each axis, null being all of it and a place −1 standing for `fill`. */
export function select(x, places, fill) {
  const steps = strides(x.shape);
  const full = places.map((list, axis) => list ?? range(x.shape[axis]));
  const lists = full.map((list, axis) => list.map((place) => (place < 0 ? -Infinity : place * steps[axis])));
  return gather(x, full.map((list) => list.length), sums(lists), fill);
}

/** x at `list` of one axis. */
export const take = (x, axis, list, fill) => select(x, x.shape.map((_, i) => (i === axis ? list : null)), fill);

export function concatenate(parts, axis) {
  const [{ dtype, shape }] = parts;
  const others = (x) => x.shape.filter((_, a) => a !== axis).join();
  if (parts.some((x) => others(x) !== others(parts[0]))) fail("sizes that do not fit along the other axes");
  const made = zeros(dtype, shape.map((n, a) => (a === axis ? parts.reduce((sum, x) => sum + x.shape[a], 0) : n)));
  const outer = product(shape.slice(0, axis));
  for (let i = 0, at = 0; i < outer; i++) {
    for (const { data } of parts) {
      made.data.set(data.subarray((i * data.length) / outer, ((i + 1) * data.length) / outer), at);
      at += data.length / outer;
    }
  }
  return made;
}

export const reshape = (x, shape) => ({ ...x, shape });

export function transpose(x, axes) {
  const steps = strides(x.shape);
  return gather(x, axes.map((a) => x.shape[a]), sums(axes.map((a) => range(x.shape[a], 0, steps[a]))));
}

/** NumPy's broadcasting of two shapes, undefined where they do not fit; null, an open size, fits every other. */
export function broadcastShapes(a, b) {
  const rank = Math.max(a.length, b.length);
  const [left, right] = [a, b].map((shape) => [...Array(rank - shape.length).fill(1), ...shape]);
  const fits = left.every((n, i) => n === right[i] || [1, null].includes(n) || [1, null].includes(right[i]));
  return fits ? left.map((n, i) => (n === 1 || (n === null && right[i] !== 1) ? right[i] : n)) : undefined;
}

export function broadcastTo(x, shape) {
  const own = [...Array(shape.length - x.shape.length).fill(1), ...x.shape];
  if (own.every((n, i) => n === shape[i])) return reshape(x, shape);
  if (own.some((n, i) => n !== 1 && n !== shape[i])) fail(`sizes ${x.shape} do not fit ${shape}`);
  return select(reshape(x, own), shape.map((n, i) => (own[i] === n ? null : Array(n).fill(0))));
}

/** f of the arguments place by place, with broadcasting. */
export function map(dtype, f, ...args) {
  const shape = args.map((x) => x.shape).reduce((a, b) => broadcastShapes(a, b) ?? fail("sizes that do not fit"));
  const made = zeros(dtype, shape);
  const [a, b, c, d] = args.map((x) => broadcastTo(x, shape).data);
  const wrap = isInteger(dtype) ? (y) => wrapped(y, dtype) : (y) => y;
  for (let i = 0; i < made.data.length; i++) made.data[i] = wrap(f(a[i], b?.[i], c?.[i], d?.[i]));
  return made;
}

export function fail(why) {
  throw new Error(why);
}

/** An integer modulo 2ⁿ, n the bits of `dtype`. */
export const wrapped = (y, dtype) => (dtype[0] === "u" ? BigInt.asUintN : BigInt.asIntN)(BITS[dtype], y);

/** f(row) for every row along `axes`, row-major; it gives the numbers of a row of `sizes`, the new ones of `axes`. */
export function overAxes(x, axes, f, { sizes = axes.map((a) => x.shape[a]), dtype = x.dtype } = {}) {
  const others = range(x.shape.length).filter((a) => !axes.includes(a));
  const order = [...others, ...axes];
  const outer = others.map((a) => x.shape[a]);
  const [rows, length] = [product(outer), product(axes.map((a) => x.shape[a]))];
  const made = zeros(dtype, [...outer, ...sizes]);
  const { data } = transpose(x, order);
  const wrap = isInteger(dtype) ? (numbers) => numbers.map((y) => wrapped(y, dtype)) : (numbers) => numbers;
  for (let i = 0; i < rows; i++) {
    made.data.set(wrap(f(data.subarray(i * length, (i + 1) * length))), i * product(sizes));
  }
  return transpose(made, order.map((_, axis) => order.indexOf(axis)));
}

/** x (…, n) @ w (n, m), w row-major. */
export function matmul(x, w) {
  const [n, m] = w.shape;
  if (x.shape.at(-1) !== n) fail(`size ${x.shape.at(-1)} of the last axis where ${n} is read`);
  const made = zeros(x.dtype, [...x.shape.slice(0, -1), m]);
  for (let from = 0, to = 0; to < made.data.length; from += n, to += m) {
    for (let i = 0; i < n; i++) {
      const value = x.data[from + i];
      for (let j = 0; j < m; j++) made.data[to + j] += value * w.data[i * m + j];
    }
  }
  return made;
}

/** Σ over the letters that are not in the result, of the product of the arguments, which are floats. */
export function einsum(equation, args) {
  const [letters, result] = [equation.split("->")[0].split(","), [...equation.split("->")[1]]];
  const sizes = {};
  letters.forEach((own, k) =>
    [...own].forEach((letter, axis) => {
      const n = args[k].shape[axis];
      if ((sizes[letter] ??= n) !== n) fail(`sizes ${sizes[letter]} and ${n} of letter ${letter}`);
    }),
  );
  const summed = Object.keys(sizes).filter((letter) => !result.includes(letter));
  const offsets = (k, wanted) => {
    const steps = strides(args[k].shape);
    return sums(wanted.map((l) => range(sizes[l], 0, letters[k].includes(l) ? steps[letters[k].indexOf(l)] : 0)));
  };
  const [outer, inner] = [result, summed].map((wanted) => args.map((_, k) => offsets(k, wanted)));
  const made = zeros(args[0].dtype, result.map((letter) => sizes[letter]));
  for (let i = 0; i < made.data.length; i++) {
    let sum = 0;
    for (let j = 0; j < inner[0].length; j++) {
      let term = args[0].data[outer[0][i] + inner[0][j]];
      for (let k = 1; k < args.length; k++) term *= args[k].data[outer[k][i] + inner[k][j]];
      sum += term;
    }
    made.data[i] = sum;
  }
  return made;
}

/** The nearest whole number, halves to the even one. */
export function roundHalfEven(x) {
  const low = Math.floor(x);
  if (x - low !== 0.5) return x - low < 0.5 ? low : low + 1;
  return low % 2 === 0 ? low : low + 1;
}

/** A float64 rounded to a floating point dtype, ties to even, to infinity beyond the largest. */
function rounded(x, dtype) {
  if (dtype === "float64" || x === 0 || !Number.isFinite(x)) return x;
  if (dtype === "float32") return Math.fround(x);
  const [digits, least, largest] = HALVES[dtype];
  const unit = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), least) - digits + 1);
  const near = roundHalfEven(x / unit) * unit;
  return Math.abs(near) > largest ? Math.sign(x) * Infinity : near;
}

/** x as `dtype`, floats rounded to it even where it is theirs. Floats to integers are cut towards zero. */
export function cast(x, dtype) {
  if (x.dtype === dtype && !isFloat(dtype)) return x;
  const made = zeros(dtype, x.shape);
  for (let i = 0; i < made.data.length; i++) made.data[i] = castNumber(x.data[i], dtype);
  return made;
}

function castNumber(value, dtype) {
  if (dtype === "bool") return value != 0 ? 1 : 0; // NaN is not 0
  if (isFloat(dtype)) return rounded(Number(value), dtype);
  if (typeof value === "bigint") return wrapped(value, dtype);
  if (!Number.isFinite(value)) fail(`${value} is no ${dtype}`);
  const cut = BigInt(Math.trunc(value));
  return wrapped(cut, dtype) === cut ? cut : fail(`${value} is beyond ${dtype}`);
}
