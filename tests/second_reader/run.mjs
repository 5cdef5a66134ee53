// node run.mjs [--json] FILE…: reads each bundle, runs its probes, and says whether it conforms.

import { readFileSync } from "node:fs";
import { evaluate } from "./evaluate.mjs";
import { isFloat, isHalf } from "./arrays.mjs";
import { check } from "./check.mjs";
import { decode, readContainer, Refusal } from "./container.mjs";
import { reads } from "./types.mjs";

const HELP = `usage: node run.mjs [--json] FILE…

Reads lstmconv bundles in float64 and compares them with their probes. Exit code 0 where all are ok, else 1.
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

/** How far `made` is from the stored output y: null where it conforms, else a text. */
function difference(made, y, scale, bounds) {
  if (made.shape.join() !== y.shape.join()) return `shape [${made.shape}] instead of [${y.shape}]`;
  let [count, largest, squares, most, power] = [0, 0, 0, 0, 0];
  for (let i = 0; i < y.data.length; i++) {
    const [a, b] = [Number(made.data[i]), Number(y.data[i])];
    if (!Number.isFinite(a) || !Number.isFinite(b)) {
      if (!Object.is(a, b)) return `${a} instead of ${b} at place ${i}`;
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
  return `largest ${largest} of ${allowed} allowed, rms ${root} of ${allowedRoot}`;
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
      const why = difference(values.get(name), decode(probe.outputs[j]), scale, rounding[k][j]);
      if (why) differences.push({ probe: k, output: j, name, why });
    }
  }
  return differences.length ? { result: "differs", differences } : { result: "ok", probes: probes.length };
}

/** What is to be said of one file. */
export function judge(path) {
  try {
    return { file: path, ...verify(readFileSync(path)) };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { file: path, result: "refused", code: error.code, rule: error.rule, why: error.message };
  }
}

function line(judged) {
  if (judged.result === "refused") return `${judged.file}: refused ${judged.code}: ${judged.why}`;
  if (judged.result === "ok") return `${judged.file}: ok, ${judged.probes} probes`;
  const places = judged.differences.map((d) => `probe ${d.probe}, output ${d.output} (${d.name}): ${d.why}`);
  return `${judged.file}: differs: ${places.join("; ")}`;
}

const options = process.argv.slice(2);
const files = options.filter((option) => !option.startsWith("-"));
if (options.includes("--help") || files.length === 0) {
  console.log(HELP);
  process.exitCode = options.includes("--help") ? 0 : 2;
} else {
  const judged = files.map(judge);
  console.log(options.includes("--json") ? JSON.stringify(judged, null, 1) : judged.map(line).join("\n"));
  process.exitCode = judged.every(({ result }) => result === "ok") ? 0 : 1;
}
