// Windows of Conv, Pool, ConvLSTM and ConvTranspose. A tap is one place of the kernel; for each axis of space and each
// tap there is the list of the places of x that it meets, −1 where it meets none.

import { concatenate, fail, map, matmul, range, select, take, zeros } from "./arrays.mjs";
import { ELEMENTWISE } from "./elementwise.mjs";

const within = (place, n) => (Number.isInteger(place) && place >= 0 && place < n ? place : -1);

/** The places made of an axis of n places, and how many are added before it. */
export function windowSize(n, size, stride, dilation, padding) {
  const reach = (size - 1) * dilation + 1;
  if (padding === "valid") return [Math.ceil((n - reach + 1) / stride), 0];
  const made = Math.ceil(n / stride);
  if (padding === "causal") return [made, reach - 1];
  return [made, Math.floor(Math.max((made - 1) * stride + reach - n, 0) / 2)];
}

/** For each axis of `space`, for each tap, the place it meets from each place of the result. */
export function windowTaps(space, { size, strides, dilation = size.map(() => 1), padding }) {
  return space.map((n, a) => {
    const [made, before] = windowSize(n, size[a], strides[a], dilation[a], padding);
    if (made < 1) fail("a window that leaves no place");
    return range(size[a]).map((k) => range(made).map((p) => within(p * strides[a] + k * dilation[a] - before, n)));
  });
}

/** The places that a transposed convolution makes of an axis of n places, after cropping. */
export function transposedSize(n, size, stride, dilation, [before, after]) {
  return n === 0 ? 0 : (n - 1) * stride + (size - 1) * dilation + 1 - before - after;
}

/** The same for a transposed convolution: p = q · stride + k · dilation, from `cropping` on. */
export function transposedTaps(space, { kernel_size, strides, dilation, cropping }) {
  return space.map((n, a) => {
    const made = transposedSize(n, kernel_size[a], strides[a], dilation[a], cropping.slice(2 * a, 2 * a + 2));
    if (made < 1) fail("a transposed convolution that leaves no place");
    const places = range(made, cropping[2 * a]);
    return range(kernel_size[a]).map((k) => places.map((p) => within((p - k * dilation[a]) / strides[a], n)));
  });
}

/** Every choice of one tap of each axis, in row-major order. */
const grid = (taps) => taps.reduce((chosen, axis) => chosen.flatMap((list) => axis.map((tap) => [...list, tap])), [[]]);

/** Σ over the taps of x at its places (B, *made, channels) @ W at it (channels / groups, filters). */
export function convolve(x, w, taps, groups = 1) {
  if (groups > 1) {
    const part = (array, g) => {
      const n = array.shape.at(-1) / groups;
      return take(array, array.shape.length - 1, range(n, g * n));
    };
    const channels = (g) => take(x, x.shape.length - 1, range(x.shape.at(-1) / groups, (g * x.shape.at(-1)) / groups));
    return concatenate(range(groups).map((g) => convolve(channels(g), part(w, g), taps)), x.shape.length - 1);
  }
  const [channels, filters] = w.shape.slice(-2);
  const made = zeros(x.dtype, [x.shape[0], ...taps.map((tap) => tap[0].length), filters]);
  return grid(taps).reduce((sum, places, i) => {
    const kernel = w.data.subarray(i * channels * filters, (i + 1) * channels * filters);
    const term = matmul(select(x, [null, ...places, null]), { shape: [channels, filters], data: kernel });
    return map(x.dtype, (a, b) => a + b, sum, term);
  }, made);
}

/** `max` or `mean` over windows; padded places do not count. */
export function pool(x, node) {
  const choices = grid(windowTaps(x.shape.slice(1, -1), node));
  const { dtype } = x;
  const meet = (array, fill) => choices.map((places) => select(array, [null, ...places, null], fill));
  const joined = (f, arrays) => arrays.reduce((a, b) => map(dtype, f, a, b));
  if (node.op === "max") return joined(ELEMENTWISE.maximum.f, meet(x, -Infinity));
  const add = (a, b) => a + b;
  const ones = zeros(dtype, [1, ...x.shape.slice(1, -1), 1]);
  ones.data.fill(1);
  return map(dtype, (sum, count) => sum / count, joined(add, meet(x)), joined(add, meet(ones)));
}
