// Whether a file is a bundle: every rule of FORMAT.md, in its order. N04 to N10; the container has checked the others.

import { isFloat } from "./arrays.mjs";
import { checkDigest, decode, need, Refusal } from "./container.mjs";
import { fieldsOf, KINDS, NODES, readNode, scaleAxis } from "./fields.mjs";
import { inferTypes, same } from "./types.mjs";

const [MAJOR, MINOR] = [1, 1];
const MOST_NODES = 10_000;
const MOST_PROBES = 100;
const { text, list, nullable } = KINDS;

/**
 * Check the parts of a file that `readContainer` gave.
 * @returns {{graph, types, probes, rounding}} types: value → {dtype, shape}; probes: [{oracle, inputs, outputs}]
 */
export function check(container) {
  const minor = checkVersion(container.metadata);
  try {
    return checkContent(container, minor);
  } catch (error) {
    const right = minor > MINOR && error instanceof Refusal && error.rule !== "N10"; // it may be, in that version
    throw right ? new Refusal("N05", error.message) : error;
  }
}

/** N04, and N05 for the major version; the minor one. */
function checkVersion(metadata) {
  const version = metadata.get("format");
  const match = typeof version === "string" && /^(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})$/.exec(version);
  need(match, "N04", "no version MAJOR.MINOR");
  need(Number(match[1]) === MAJOR, "N05", `format ${version}`);
  return Number(match[2]);
}

/** The other rules, in the order of FORMAT.md. */
function checkContent(container, minor) {
  const { metadata, tensors } = container;
  checkMetadata(metadata);
  const old = [];
  const graph = readGraph(metadata.get("graph"), old);
  const oracles = list(text)(metadata.get("probes"));
  checkParameters(graph, tensors);
  checkNames(graph);
  const types = inferTypes(graph);
  need(minor === 0 || old.length === 0, "N07", `${old[0]}, a spelling of format 1.0`);
  const probes = checkProbes(graph, types, oracles, tensors);
  const rounding = checkRounding(metadata.get("rounding"), probes);
  const scaled = [...tensors.keys()].some((name) => name.endsWith(".scale") && !name.startsWith("$"));
  const newer = metadata.has("rounding") || scaled || graph.nodes.some((node) => isNew(node, types));
  need(minor > 0 || !newer, "N05", "what came with format 1.1 in 1.0");
  checkDigest(container);
  return { graph, types, probes, rounding };
}

/** Whether a node came with format 1.1, or has windows over three axes or a state of one row for all, which did. */
function isNew(node, types) {
  const window = node.kernel_size ?? node.size;
  const states = [node.h0, node.c0].filter((name) => typeof name === "string");
  const oneRow = (name) => types.get(name).shape[0] === 1 && types.get(node.x).shape[0] !== 1;
  return NODES[node.node].new || (Array.isArray(window) && window.length === 3) || states.some(oneRow);
}

function checkMetadata(metadata) {
  const areTexts = (v) => v instanceof Map && [...v.values()].every((item) => typeof item === "string");
  const texts = (v) => need(areTexts(v), "N02", "no object of texts");
  const any = (v) => v;
  const rounding = metadata.has("rounding") ? { rounding: any } : {};
  const kinds = { format: any, source: texts, semantics: texts, graph: any, probes: any, digest: any, ...rounding };
  fieldsOf(metadata, kinds, { rule: "N02" });
}

/** N06. */
function readGraph(v, old) {
  const texts = list(text);
  const kinds = { inputs: texts, outputs: texts, output_keys: nullable(texts), nodes: list(readNode, MOST_NODES) };
  return fieldsOf(v, kinds, { old });
}

/** Of N07: names, inputs and outputs. */
function checkNames({ nodes, inputs, outputs, output_keys: keys }) {
  const distinct = (texts) => new Set(texts).size === texts.length;
  const declared = nodes.filter((node) => node.node === "Input").map((node) => node.name);
  need(distinct(nodes.map((node) => node.name)), "N07", "a name twice");
  need(inputs.length > 0 && outputs.length > 0, "N07", "no inputs or no outputs");
  const same = inputs.length === declared.length && inputs.every((name) => declared.includes(name));
  need(same && distinct(inputs), "N07", "inputs that are not the Input nodes");
  need(keys === null || (distinct(keys) && keys.length === outputs.length), "N07", "output_keys");
}

/** N08: the tensors are those that the nodes declare; probes are left to N09. */
function checkParameters(graph, tensors) {
  const declared = new Set();
  for (const node of graph.nodes) {
    for (const [p, shape] of Object.entries(NODES[node.node].parameters?.(node) ?? {})) {
      const name = `${node.weights || node.name}/${p}`;
      const tensor = tensors.get(name);
      const axis = scaleAxis(p, shape);
      const scales = axis === undefined ? undefined : tensors.get(`${name}.scale`);
      const dtype = scales ? "int8" : node.node === "Constant" ? node.dtype : "float32";
      declared.add(name);
      need(tensor && same(tensor.shape, shape), "N08", `${name} is missing or not of shape ${shape}`);
      need(isStoredAs(dtype, tensor), "N08", `${name} is ${tensor.dtype}`);
      if (scales) declared.add(`${name}.scale`);
      need(!scales || areScales(scales, shape[axis]), "N08", `${name}.scale is not ${shape[axis]} scales`);
    }
  }
  for (const [name, tensor] of tensors) {
    if (name.startsWith("$")) continue;
    need(declared.has(name), "N08", `${name} is left over`);
    need(isBool(tensor), "N08", `a byte of ${name} is no bool`);
  }
}

/** Whether a tensor may hold a value of this dtype: floats in any of them. */
const isStoredAs = (dtype, tensor) => (isFloat(dtype) ? isFloat(tensor.dtype) : tensor.dtype === dtype);
const areScales = (tensor, n) =>
  tensor.dtype === "float32" && same(tensor.shape, [n]) && decode(tensor).data.every((s) => s >= 0 && s < Infinity);
const isBool = ({ dtype, bytes }) => dtype !== "bool" || bytes.every((byte) => byte <= 1);

/** N09: probe k has a tensor of the right type for every input and output, and the inputs one number of rows. */
function checkProbes(graph, types, oracles, tensors) {
  need(oracles.length <= MOST_PROBES, "N09", `${oracles.length} probes`);
  const declared = new Set();
  const fitting = (name, value) => {
    const [tensor, type] = [tensors.get(name), types.get(value)];
    declared.add(name);
    need(tensor && isStoredAs(type.dtype, tensor) && same(type.shape, tensor.shape), "N09", `${name} does not fit`);
    need(isBool(tensor), "N09", `a byte of ${name} is no bool`);
    return tensor;
  };
  const probes = oracles.map((oracle, k) => ({
    oracle,
    inputs: new Map(graph.inputs.map((name) => [name, fitting(`$probe${k}/input/${name}`, name)])),
    outputs: graph.outputs.map((name, j) => fitting(`$probe${k}/output/${j}`, name)),
  }));
  for (const { inputs } of probes) {
    need(new Set([...inputs.values()].map(({ shape }) => shape[0])).size === 1, "N09", "inputs of several numbers of rows");
  }
  for (const name of tensors.keys()) need(!name.startsWith("$") || declared.has(name), "N09", `${name} is of no probe`);
  return probes;
}

/** N09: for each probe and output null, or two numbers [a, r]. */
function checkRounding(rounding, probes) {
  if (rounding === undefined) return probes.map((probe) => probe.outputs.map(() => null));
  const bound = (v) => typeof v === "number" && v >= 0;
  const item = (v) => v === null || (Array.isArray(v) && v.length === 2 && v.every(bound));
  const fits = (v, k) => Array.isArray(v) && v.length === probes[k]?.outputs.length && v.every(item);
  const all = Array.isArray(rounding) && rounding.length === probes.length && rounding.every(fits);
  need(all, "N09", "rounding that does not fit the probes");
  need(rounding.flat(1).some((v) => v !== null), "N09", "rounding of nothing");
  return rounding;
}
