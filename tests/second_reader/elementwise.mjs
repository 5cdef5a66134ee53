// The operations of Elementwise: how many arguments, of which dtypes, and what they compute. Integers are BigInts here,
// and wrapped afterwards.

import { fail, isFloat, wrapped } from "./arrays.mjs";

const floats = (arity, f) => ({ arity, takes: isFloat, f });
const numbers = (arity, f) => ({ arity, takes: (dtype) => dtype !== "bool", f });
const logical = (arity, f) => ({ arity, takes: (dtype) => dtype === "bool", bool: true, f });
const comparison = (f) => ({ arity: 2, takes: () => true, bool: true, f });

const isNaN = Number.isNaN; // false for BigInts

/** xʸ: C's pow, which differs from `**` where x is 1 or −1; of whole numbers modulo 2⁶⁴, by repeated squaring. */
function power(x, y) {
  if (typeof x === "number") return x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y;
  if (y < 0n) fail(`whole number ${x} to the power ${y}`);
  let [made, square] = [1n, x];
  for (; y > 0n; y >>= 1n) {
    if (y & 1n) made = wrapped(made * square, "int64");
    square = wrapped(square * square, "int64");
  }
  return made;
}

/** By op; f gives true or false where the result is bool. */
export const ELEMENTWISE = {
  add: numbers(2, (x, y) => x + y),
  subtract: numbers(2, (x, y) => x - y),
  multiply: numbers(2, (x, y) => x * y),
  divide: floats(2, (x, y) => x / y),
  power: numbers(2, power),
  maximum: numbers(2, (x, y) => (isNaN(x) || x > y ? x : y)),
  minimum: numbers(2, (x, y) => (isNaN(x) || x < y ? x : y)),
  negative: numbers(1, (x) => -x),
  absolute: numbers(1, (x) => (x < 0 ? -x : x)),
  exp: floats(1, Math.exp),
  log: floats(1, Math.log),
  sqrt: floats(1, Math.sqrt),
  rsqrt: floats(1, (x) => 1 / Math.sqrt(x)),
  square: numbers(1, (x) => x * x),
  sign: numbers(1, (x) => (typeof x === "number" ? Math.sign(x) : BigInt(x > 0n) - BigInt(x < 0n))),
  reciprocal: floats(1, (x) => 1 / x),
  sin: floats(1, Math.sin),
  cos: floats(1, Math.cos),
  floor: floats(1, Math.floor),
  equal: comparison((x, y) => x === y),
  not_equal: comparison((x, y) => x !== y),
  greater: comparison((x, y) => x > y),
  greater_equal: comparison((x, y) => x >= y),
  less: comparison((x, y) => x < y),
  less_equal: comparison((x, y) => x <= y),
  logical_and: logical(2, (x, y) => x && y),
  logical_or: logical(2, (x, y) => x || y),
  logical_xor: logical(2, (x, y) => x !== y),
  logical_not: logical(1, (x) => !x),
};
