// The operations of Elementwise: how many arguments, of which dtypes, and what they compute. Integers are BigInts here.

const ANY = "any"; // also bool
const NUMBERS = "numbers"; // floats and integers
const FLOATS = "floats";
const BOOL = "bool";

const nan = (x) => x !== x;
const comparison = (f) => ({ arity: 2, takes: ANY, bool: true, f: (a, b) => (f(a, b) ? 1 : 0) });
const logical = (arity, f) => ({ arity, takes: BOOL, bool: true, f: (a, b) => (f(a, b) ? 1 : 0) });
const numbers = (arity, f) => ({ arity, takes: NUMBERS, f });
const floats = (arity, f) => ({ arity, takes: FLOATS, f });

export const ELEMENTWISE = {
  add: numbers(2, (a, b) => a + b),
  subtract: numbers(2, (a, b) => a - b),
  multiply: numbers(2, (a, b) => a * b),
  divide: floats(2, (a, b) => a / b),
  maximum: numbers(2, (a, b) => (nan(a) || a > b ? a : b)),
  minimum: numbers(2, (a, b) => (nan(a) || a < b ? a : b)),
  negative: numbers(1, (a) => -a),
  abs: numbers(1, (a) => (a < 0 ? -a : a)),
  sign: numbers(1, (a) => (typeof a === "bigint" ? (a > 0n ? 1n : a < 0n ? -1n : 0n) : Math.sign(a))),
  square: numbers(1, (a) => a * a),
  exp: floats(1, Math.exp),
  log: floats(1, Math.log),
  sqrt: floats(1, Math.sqrt),
  rsqrt: floats(1, (a) => 1 / Math.sqrt(a)),
  reciprocal: floats(1, (a) => 1 / a),
  sin: floats(1, Math.sin),
  cos: floats(1, Math.cos),
  floor: floats(1, Math.floor),
  equal: comparison((a, b) => a === b),
  not_equal: comparison((a, b) => a !== b),
  less: comparison((a, b) => a < b),
  less_equal: comparison((a, b) => a <= b),
  greater: comparison((a, b) => a > b),
  greater_equal: comparison((a, b) => a >= b),
  logical_and: logical(2, (a, b) => a && b),
  logical_or: logical(2, (a, b) => a || b),
  logical_not: logical(1, (a) => !a),
};
