// node run.mjs [--json] FILE…: reads each bundle, runs its probes, and says whether it conforms.

import { readFileSync } from "node:fs";
import { evaluate } from "./evaluate.mjs";
import { isFloat, isHalf } from "./arrays.mjs";
import { check } from "./check.mjs";
import { decode, readContainer, Refusal } from "./container.mjs";
import { reads } from "./types.mjs";

const HELP = `usage: node run.mjs [--json] FILE…

Reads lstmconv bundles in float64 and compares them with their probes. Exit code 0 where all are
ok, 1 where one is refused or differs, 2 where one cannot be opened. --json: a list with an object for each file.
example: node tests/second_reader/run.mjs tests/vectors/invalid/valid.safetensors`;

/** Values that are computed in half precision, or from what is. */
function ofHalves(graph, types) {
  const found = new Set();
  for (const node of graph.nodes) {
    const own = isHalf(types.get(node.name).dtype) && !["Input", "Constant"].includes(node.node);
    if (own || reads(node).some((name) => found.has(name))) {
      for (const value of [node.name, `${node.name}:h`, `${node.name}:c`]) found.add(value);
    }
  }
  return found;
}

/** Where `made` does not conform to the stored output y: null, or {why} and, of numbers, how far they are apart. */
function difference(made, y, scale, bounds) {
  if (made.shape.join() !== y.shape.join()) return { why: `sizes ${made.shape} instead of ${y.shape}` };
  let [count, largest, squares, most, power] = [0, 0, 0, 0, 0];
  for (let i = 0; i < y.data.length; i++) {
    const [a, b] = [Number(made.data[i]), Number(y.data[i])];
    if (!Number.isFinite(a) || !Number.isFinite(b)) {
      if (!Object.is(a, b)) return { why: `${a} instead of ${b} at place ${i}` };
      continue;
    }
    const apart = Math.abs(Number(made.data[i] - y.data[i])); // of integers exactly
    [count, largest, squares] = [count + 1, Math.max(largest, apart), squares + apart ** 2];
    [most, power] = [Math.max(most, Math.abs(b)), power + b ** 2];
  }
  if (count === 0) return null;
  const [root, rms] = [Math.sqrt(squares / count), Math.sqrt(power / count)];
  const [allowed, allowedRoot] = bounds ?? [scale * most, scale * rms];
  if (largest <= allowed && root <= allowedRoot) return null;
  const why = `largest ${largest} of ${allowed} allowed, root mean square ${root} of ${allowedRoot}`;
  return { why, largest, allowed, root, allowedRoot };
}

function verify(file) {
  const container = readContainer(file);
  const { graph, types, probes, rounding } = check(container);
  const halves = ofHalves(graph, types);
  const arrays = new Map([...container.tensors].map(([name, tensor]) => [name, decode(tensor)]));
  const differences = [];
  for (const [k, probe] of probes.entries()) {
    const inputs = new Map([...probe.inputs].map(([name, tensor]) => [name, decode(tensor)]));
    let values;
    try {
      values = evaluate(graph, types, arrays, inputs);
    } catch (error) {
      differences.push({ probe: k, output: null, name: null, why: error.message });
      continue;
    }
    for (const [j, name] of graph.outputs.entries()) {
      const scale = !isFloat(types.get(name).dtype) ? 0 : halves.has(name) ? 1e-2 : 1e-5;
      const found = difference(values.get(name), decode(probe.outputs[j]), scale, rounding[k][j]);
      if (found) differences.push({ probe: k, output: j, name, ...found });
    }
  }
  return differences.length ? { result: "differs", differences } : { result: "ok", probes: probes.length };
}

/** What is to be said of one file. */
function judge(path) {
  try {
    return { file: path, ...verify(readFileSync(path)) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { file: path, result: "refused", code: error.code, rule: error.rule, why: error.message };
  }
}

function line({ file, result, code, why, probes, differences }) {
  if (result === "refused") return `${file}: refused ${code}: ${why}`;
  if (result === "ok") return `${file}: ok, ${probes} probe${probes === 1 ? "" : "s"}`;
  const place = (d) => (d.name === null ? `probe ${d.probe}` : `probe ${d.probe}, output ${d.output} (${d.name})`);
  return `${file}: differs: ${differences.map((d) => `${place(d)}: ${d.why}`).join("; ")}`;
}

function main(options) {
  const files = options.filter((option) => !option.startsWith("-"));
  if (options.includes("--help") || files.length === 0) {
    console.log(HELP);
    return options.includes("--help") ? 0 : 2;
  }
  const judged = files.map(judge);
  console.log(options.includes("--json") ? JSON.stringify(judged, null, 1) : judged.map(line).join("\n"));
  return judged.every(({ result }) => result === "ok") ? 0 : 1;
}

try {
  process.exitCode = main(process.argv.slice(2));
} catch (error) {
  if (!error.syscall) throw error; // a file that cannot be read
  console.error(`run.mjs: ${error.message}`);
  process.exitCode = 2;
}
