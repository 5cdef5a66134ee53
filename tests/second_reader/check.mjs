// Whether a file is a bundle: every rule of FORMAT.md, in its order. N04 to N10; the container has checked the others.

import { isFloat } from "./arrays.mjs";
import { checkDigest, need, Refusal } from "./container.mjs";
import { fieldsOf, KINDS, NODES, readNode } from "./fields.mjs";
import { inferTypes, same } from "./types.mjs";

const [MAJOR, MINOR] = [1, 1];
const MOST_NODES = 10_000;
const MOST_PROBES = 100;
const STATES = { LSTM: "hc", ConvLSTM: "hc", GRU: "h", SimpleRNN: "h" };
const { text, list, nullable } = KINDS;

/**
 * Check the parts of a file that `readContainer` gave.
 * @returns {{graph, types, probes, rounding}} types: value → {dtype, shape}; probes: [{oracle, inputs, outputs}]
 */
export function check(container) {
  const { metadata, tensors } = container;
  const newer = checkVersion(metadata);
  try {
    checkMetadata(metadata);
    const graph = readGraph(metadata.get("graph"));
    const oracles = list(text)(metadata.get("probes"));
    const types = inferTypes(graph);
    checkParameters(graph, types, tensors);
    const probes = checkProbes(graph, types, oracles, tensors);
    const rounding = checkRounding(metadata.get("rounding"), probes);
    checkDigest(container);
    return { graph, types, probes, rounding };
  } catch (error) {
    if (newer && ["N02", "N06"].includes(error.rule)) throw new Refusal("N05", error.message);
    throw error;
  }
}

/** N04 and N05; whether the version is a newer minor one, of which everything has to be known. */
function checkVersion(metadata) {
  const match = /^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)$/.exec(metadata.get("format"));
  need(typeof metadata.get("format") === "string" && match, "N04", "no version MAJOR.MINOR");
  need(Number(match[1]) === MAJOR, "N05", `format ${match[0]}`);
  need(Number(match[2]) >= 1 || !metadata.has("rounding"), "N05", "rounding in format 1.0");
  return Number(match[2]) > MINOR;
}

function checkMetadata(metadata) {
  const texts = (v) => need(v instanceof Map && [...v.values()].every((t) => typeof t === "string"), "N02", "no object of texts");
  const any = (v) => v;
  const rounding = metadata.has("rounding") ? { rounding: any } : {};
  fieldsOf(metadata, { format: any, source: texts, semantics: texts, graph: any, probes: any, digest: any, ...rounding }, "N02");
}

/** N06, and of N07 the names. */
function readGraph(v) {
  const graph = fieldsOf(v, { inputs: list(text), outputs: list(text), output_keys: nullable(list(text)), nodes: list(readNode) });
  need(graph.nodes.length <= MOST_NODES, "N06", `${graph.nodes.length} nodes`);
  const names = graph.nodes.flatMap((n) => [n.name, ...[...(STATES[n.node] ?? "")].map((state) => `${n.name}:${state}`)]);
  const inputs = graph.nodes.filter((n) => n.node === "Input").map((n) => n.name);
  const keys = graph.output_keys;
  const distinct = (texts) => new Set(texts).size === texts.length;
  need(distinct(names), "N07", "a name twice");
  const listed = distinct(graph.inputs) && graph.inputs.length === inputs.length && inputs.every((i) => graph.inputs.includes(i));
  need(listed, "N07", "inputs that are not the Input nodes");
  need(graph.outputs.length > 0, "N07", "no outputs");
  need(graph.outputs.every((name) => names.includes(name)), "N07", "an output that no node makes");
  need(keys === null || (distinct(keys) && keys.length === graph.outputs.length), "N07", "output_keys");
  return graph;
}

/** N08: the tensors are those that the nodes declare; probes are left to N09. */
function checkParameters(graph, types, tensors) {
  const declared = new Set();
  for (const node of graph.nodes) {
    for (const [p, shape] of Object.entries(NODES[node.node].parameters?.(node) ?? {})) {
      const name = `${node.weights || node.name}/${p}`;
      const tensor = tensors.get(name);
      declared.add(name);
      need(tensor && same(tensor.shape, shape), "N08", `${name} is missing or not of shape ${shape}`);
      const { dtype } = types.get(node.name);
      need(isFloat(dtype) ? isFloat(tensor.dtype) : tensor.dtype === dtype, "N08", `${name} is ${tensor.dtype}`);
    }
  }
  for (const name of tensors.keys()) need(declared.has(name) || name.startsWith("$probe"), "N08", `${name} is left over`);
}

/** N09: probe k has a tensor of the right type for every input and output, with one size for what is open alike. */
function checkProbes(graph, types, oracles, tensors) {
  need(oracles.length <= MOST_PROBES, "N09", `${oracles.length} probes`);
  const stored = (dtype) => (dtype === "bfloat16" ? "float32" : dtype);
  const declared = new Set();
  const fitting = (name, value) => {
    const [tensor, type] = [tensors.get(name), types.get(value)];
    declared.add(name);
    const fits = tensor?.dtype === stored(type.dtype) && tensor.shape.length === type.shape.length;
    need(fits && tensor.shape.every((n, a) => type.shape[a] === null || type.shape[a] === n), "N09", `${name} does not fit`);
    return tensor;
  };
  const probes = oracles.map((oracle, k) => ({
    oracle,
    inputs: new Map(graph.inputs.map((name) => [name, fitting(`$probe${k}/input/${name}`, name)])),
    outputs: graph.outputs.map((name, j) => fitting(`$probe${k}/output/${j}`, name)),
  }));
  for (const name of tensors.keys()) need(!name.startsWith("$") || declared.has(name), "N09", `${name} is of no probe`);
  return probes;
}

/** N09: for each probe and output null, or two numbers [a, r]. */
function checkRounding(rounding, probes) {
  if (rounding === undefined) return probes.map((probe) => probe.outputs.map(() => null));
  const bound = (v) => typeof v === "number" && v >= 0;
  const item = (v) => v === null || (Array.isArray(v) && v.length === 2 && v.every(bound));
  const fits = (v, k) => Array.isArray(v) && v.length === probes[k]?.outputs.length && v.every(item);
  need(Array.isArray(rounding) && rounding.length === probes.length && rounding.every(fits), "N09", "rounding does not fit");
  need(rounding.flat(1).some((v) => v !== null), "N09", "rounding of nothing");
  return rounding;
}
