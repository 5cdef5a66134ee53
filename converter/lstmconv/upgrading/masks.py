"""The masks of an old Keras written out in an archive of Keras 3, where Keras 3 by itself would take others.

    a state given to an RNN       Keras 3 then drops the mask: it becomes an argument of the call
    merges                        AND of the masks there are, no longer OR of all: an argument of the calls that follow;
                                  Multiply, Maximum, Minimum become operations, which look at no masks
    Bidirectional over masks      before it was part of TensorFlow it repeated the last output, where Keras 3 writes
                                  zeros: two layers, and a merge under the name of the old one
    a state before the first      before Keras 2.3 it was put out until the first step that is not masked: a Where
    step of a masked sequence

Every mask is a chain of comparisons in the graph of the old model; here it becomes one of keras.ops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from lstmconv_runtime.format.graph import Node, Value
from lstmconv_runtime.format.nodes import Cast, Concatenate, Constant, Elementwise, ExpandDims, Flip, Reduce

from ..errors import UnsupportedError, printable
from ..graph.building import Builder, Tensor
from ..graph.convert import convert_config
from ..graph.functional import Reference
from ..history.semantics import semantics_of
from ..reading.form import MODELS, flat_entries, todays
from ..reading.layer_weights import PlainWeights
from .archive import KERAS_VERSION
from .calls import legal
from .config import Modern
from .functional_form import functional_models
from .references import first_reference, is_tensor, masks_of, moved_to, operation_on, parts, references

NUMPY, CORE = "keras.src.ops.numpy", "keras.src.ops.core"
RECURRENT = ("LSTM", "GRU", "SimpleRNN", "RNN")
MERGES = {"concat": "Concatenate", "sum": "Add", "ave": "Average"}
OPERATIONS = {
    "not_equal": "NotEqual", "equal": "Equal", "logical_and": "LogicalAnd", "logical_or": "LogicalOr",
}  # fmt: skip


def write_masks_out(config: dict[str, Any], maker: Modern, restructured: bool) -> None:
    """Changes the archive's config, and the arrays in `maker`, so that Keras 3 computes with the old masks.

    Args:
        restructured: other layers take the place of those that Keras 3 computes otherwise.
    """
    pages = [_Page(*found, maker) for found in functional_models(config)]
    pages = [page for page in pages if any(_masked(run) for run in page.runs)]
    if not pages:
        return
    for page in pages if restructured else ():
        page.restructure()
    build = Builder(semantics_of(KERAS_VERSION), allow_nonfinite=True)
    convert_config(todays(config), PlainWeights(maker.arrays), build)
    for page in pages:
        page.give_masks(build)


def _masked(run: Any) -> bool:
    return any(tensor.mask is not None for tensors in run.results.values() for tensor in tensors)


class _Page:
    """One Functional model of the archive, beside how its calls ran in the old model."""

    def __init__(self, config: dict[str, Any], prefix: str, path: tuple[str, ...], maker: Modern) -> None:
        self.config = config
        self.prefix = prefix
        self.path = path
        self.maker = maker
        self.old = maker.build
        self.runs = self.old.ran.get(prefix, [])
        self.nodes = {value: node for node in self.old.nodes for value in node.makes()}
        self.aliases: dict[Reference, Reference] = {}  # where an output is found now → where it was
        self.made: dict[Any, dict[str, Any]] = {}  # operations by what they compute

    # --- reading the old run ------------------------------------------------------------------------------------------

    def tensor(self, ref: Any) -> Tensor | None:
        """The old tensor of a reference of the archive; None for an array."""
        return self.made_at(tuple(ref["config"]["keras_history"])) if is_tensor(ref) else None

    def made_at(self, place: Reference) -> Tensor | None:
        """The old tensor of a place in the archive."""
        name, index, position = self.aliases.get(place, place)
        for (layer, call), tensors in self.runs[0].results.items() if self.runs else ():
            if legal(layer) == name and call == index and position < len(tensors):
                found: Tensor = tensors[position]
                return found
        return None

    def old_mask(self, call: dict[str, Any]) -> Value | None:
        """The mask a call ran with."""
        if "initial_state" in call["kwargs"] and not self.old.semantics.initial_state_keeps_mask:
            return None
        explicit = call["kwargs"].get("mask")
        if explicit is not None:
            given = self.tensor(explicit)
            return given.value if given else None
        first = first_reference(call)
        given = self.tensor(first) if first is not None else None
        return given.mask if given else None

    # --- other layers for what Keras 3 computes otherwise -------------------------------------------------------------

    def restructure(self) -> None:
        if len(self.runs) != 1:
            return  # called on different inputs, or never
        layers: list[dict[str, Any]] = []
        for item in self.config["layers"]:
            calls = item.get("inbound_nodes", [])
            masked = any(self.old_mask(call) is not None for call in calls)
            stacked = item["class_name"] == "RNN" and item["config"]["cell"]["class_name"] == "StackedRNNCells"
            if masked and stacked and self.old.semantics.masked_output_is_state and not item["config"].get("unroll"):
                raise UnsupportedError(
                    f"layer '{printable(item['name'])}' (RNN): Keras before 2.3 put out the first cell's state at "
                    "masked steps of a stack of cells, and no layer of Keras 3 does",
                    "E_NO_EQUIVALENT",
                )
            if item["module"] == "keras.layers" and masks_of(item) == "choose" and self._masked_arguments(calls):
                layers += self._merge_operation(item)
            elif item["class_name"] == "Bidirectional" and masked and self._differs(item):
                layers += self._two_layers(item)
            else:
                layers.append(item)
        self.config["layers"] = layers
        if self.old.semantics.masked_output_is_state:
            for item in list(layers):
                self._state_before_first_step(item)

    def _differs(self, item: dict[str, Any]) -> bool:
        semantics, inner = self.old.semantics, item["config"]["layer"]["config"]
        sequences = inner.get("return_sequences", False)
        given = any("initial_state" in call["kwargs"] for call in item["inbound_nodes"])
        return (sequences and not semantics.bidirectional_zeroes_masked) or (given and semantics.masked_output_is_state)

    def _masked_arguments(self, calls: list[dict[str, Any]]) -> bool:
        given = [self.tensor(ref) for call in calls for ref in references(call["args"])]
        ranks = {len(self.old.types[t.value].shape) for t in given if t}
        return any(t and t.mask is not None for t in given) and len(ranks) == 1

    def _merge_operation(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        """a · b · c as operations; the last has the layer's name."""
        name, made = item["name"], []
        count = max(len(parts(call["args"])) for call in item["inbound_nodes"])
        for step in range(1, count):
            own = name if step == count - 1 else f"{name}_{step}"
            calls = []
            for index, call in enumerate(item["inbound_nodes"]):
                given = parts(call["args"])
                left = given[0] if step == 1 else moved_to(given[0], (f"{name}_{step - 1}", index, 0))
                calls.append({"args": [left, given[step]], "kwargs": {}})
            made.append(operation_on(NUMPY, item["class_name"], own, {}, calls))
        return made

    def _two_layers(self, item: dict[str, Any]) -> list[dict[str, Any]]:
        """A Bidirectional layer as its two directions and their merge."""
        name, config = item["name"], item["config"]
        mode, sequences = config.get("merge_mode", "concat"), config["layer"]["config"].get("return_sequences", False)
        ends = {"forward": f"{name}_forward", "backward": f"{name}_backward"}
        made = []
        for direction, key in (("forward", "layer"), ("backward", "backward_layer")):
            calls = []
            for call in item["inbound_nodes"]:
                kwargs = dict(call["kwargs"])
                if "initial_state" in kwargs:
                    states = parts(kwargs["initial_state"])
                    half = len(states) // 2
                    kwargs["initial_state"] = states[:half] if direction == "forward" else states[half:]
                calls.append({"args": call["args"], "kwargs": kwargs})
            inner = config[key]
            own = {**inner, "config": {**inner["config"], "name": ends[direction]}, "name": ends[direction]}
            made.append({**own, "inbound_nodes": calls})
            self._move_arrays((name, f"{direction}_layer"), (ends[direction],))
        last = ends["backward"]
        count = range(len(item["inbound_nodes"]))
        refs = [self._reference(name, index, 0) for index in count]
        if sequences:
            last = f"{name}_turned"
            calls = [{"args": [moved_to(refs[n], (ends["backward"], n, 0))], "kwargs": {}} for n in count]
            made.append(operation_on(NUMPY, "Flip", last, {"axis": 1}, calls))
        pairs = [[moved_to(refs[n], (ends["forward"], n, 0)), moved_to(refs[n], (last, n, 0))] for n in count]
        if mode == "mul":
            made.append(operation_on(NUMPY, "Multiply", name, {}, [{"args": pair, "kwargs": {}} for pair in pairs]))
        elif mode is not None:
            own_config = {"name": name, "trainable": True, "dtype": config["dtype"]}
            own_config |= {"axis": -1} if mode == "concat" else {}
            made.append({
                "module": "keras.layers", "class_name": MERGES[mode], "config": own_config, "registered_name": None,
                "name": name, "inbound_nodes": [{"args": [pair], "kwargs": {}} for pair in pairs],
            })  # fmt: skip
        self._rename(self._split_outputs(name, ends, last, mode, config))
        self.maker.notes.append(f"layer '{printable(name)}' (Bidirectional): its two directions as layers of their own")
        return made

    def _split_outputs(self, name: str, ends: dict[str, str], last: str, mode: str | None, config: Any) -> Any:
        """Where each output of a Bidirectional layer is found in its parts."""
        outputs = 1 if mode is not None else 2
        states = {"LSTM": 2}.get(config["layer"]["class_name"], 1)

        def moved(ref: Reference) -> Reference:
            if ref[0] != name or (mode is not None and ref[2] == 0):
                return ref
            if ref[2] < outputs:
                return (ends["forward"], ref[1], 0) if ref[2] == 0 else (last, ref[1], 0)
            state = ref[2] - outputs
            direction = "forward" if state < states else "backward"
            return (ends[direction], ref[1], 1 + state % states)

        return moved

    def _state_before_first_step(self, item: dict[str, Any]) -> None:
        """The initial state put out until the first step that is not masked."""
        calls, config = item.get("inbound_nodes", []), item["config"]
        given = all("initial_state" in call["kwargs"] and self.old_mask(call) is not None for call in calls)
        if item["class_name"] not in RECURRENT or not calls or not given or config.get("unroll"):
            return
        name = item["name"]
        if not config.get("return_sequences", False):
            config["return_state"] = True
            self._rename(lambda ref: (name, ref[1], 1) if ref[0] == name and ref[2] == 0 else ref)
            return
        seen, dtype = f"{name}_seen", {**config["dtype"]}
        steps, wheres = [], []
        for index, call in enumerate(calls):
            mask = self.old_mask(call)
            assert mask is not None
            ref = self.emit(mask)
            shape = ref["config"]["shape"]
            valid = self.operation(NUMPY, "ExpandDims", {"axis": -1}, [ref], [*shape, 1], "bool")
            valid = self.operation(CORE, "Cast", {"dtype": "float32"}, [valid], [*shape, 1], "float32")
            steps.append({"args": [valid], "kwargs": {}})
            count = moved_to(valid, (seen, index, 0))
            begun = self.operation(NUMPY, "NotEqual", {}, [count, 0.0], [*shape, 1], "bool")
            state = references(call["kwargs"]["initial_state"])[0]
            units = state["config"]["shape"][-1]
            before = self.operation(
                NUMPY, "ExpandDims", {"axis": 1}, [state], [shape[0], 1, units], state["config"]["dtype"]
            )
            y = moved_to(before, (name, index, 0), [*shape, units])
            wheres.append({"args": [begun, y, before], "kwargs": {}})
        counter = {
            "name": seen, "trainable": False, "dtype": dtype, "units": 1, "activation": "linear", "use_bias": False,
            "return_sequences": True, "go_backwards": config.get("go_backwards", False),
        }  # fmt: skip
        output = f"{name}_output"
        self._rename(lambda ref: (output, ref[1], 0) if ref[0] == name and ref[2] == 0 else ref)
        self.config["layers"] += [
            {
                "module": "keras.layers", "class_name": "SimpleRNN", "config": counter, "registered_name": None,
                "name": seen, "inbound_nodes": steps,
            },
            operation_on(NUMPY, "Where", output, {}, wheres),
        ]  # fmt: skip
        one = np.ones((1, 1), "float32")
        self.maker.arrays[(*self.path, "layers", seen, "cell")] = [one, one]
        self.maker.notes.append(f"layer '{printable(name)}': its initial state put out before the first unmasked step")

    def _move_arrays(self, old: tuple[str, ...], new: tuple[str, ...]) -> None:
        start = (*self.path, "layers", *old)
        for key in [key for key in self.maker.arrays if key[: len(start)] == start]:
            self.maker.arrays[(*self.path, "layers", *new, *key[len(start) :])] = self.maker.arrays.pop(key)

    def _reference(self, name: str, index: int, position: int) -> dict[str, Any]:
        """A reference to what an old layer made."""
        found = self.made_at((name, index, position))
        if found is None:
            raise UnsupportedError(
                f"layer '{printable(name)}': its call {index} leads to no output of the model, and cannot be rewritten "
                "for Keras 3",
                "E_NO_EQUIVALENT",
            )
        return self.maker.tensor((name, index, position), found)

    def _rename(self, moved: Callable[[Reference], Reference]) -> None:
        """Changes what the calls and the outputs of this model refer to."""

        def changed(ref: Reference) -> list[Any]:
            found = moved(ref)
            if found != ref:
                self.aliases[found] = self.aliases.get(ref, ref)
            return list(found)

        for item in self.config["layers"]:
            for call in item.get("inbound_nodes", []):
                for ref in (*references(call["args"]), *references(list(call["kwargs"].values()))):
                    ref["config"]["keras_history"] = changed(tuple(ref["config"]["keras_history"]))
        for entry in flat_entries(self.config["output_layers"]):
            entry[:] = changed(tuple(entry))

    # --- masks as arguments -------------------------------------------------------------------------------------------

    def give_masks(self, build: Builder) -> None:
        """Gives every call the mask it ran with, where Keras 3 (`build`) would take another."""
        if len(self.runs) != 1:
            return
        new = build.ran[self.prefix][0]
        nodes = {value: node for node in build.nodes for value in node.makes()}
        for item in list(self.config["layers"]):
            if item["class_name"] not in MODELS and masks_of(item) != "used":
                continue
            for call in item["inbound_nodes"]:
                if not is_tensor(call["kwargs"].get("mask")) and call["kwargs"].get("mask") is not None:
                    continue  # an array, which is the same in both
                wanted = self.old_mask(call)
                first = first_reference(call)
                taken = None
                if call["kwargs"].get("mask") is not None:
                    taken = new.tensor(tuple(call["kwargs"]["mask"]["config"]["keras_history"])).value
                elif "initial_state" not in call["kwargs"] and first is not None:
                    taken = new.tensor(tuple(first["config"]["keras_history"])).mask
                same = _formula(self.old, self.nodes, wanted) == _formula(build, nodes, taken)
                if first is None or (same and (wanted is None or call["kwargs"].get("mask") is not None)):
                    continue
                call["kwargs"]["mask"] = self.emit(wanted) if wanted is not None else self._always(first)

    def _always(self, x: dict[str, Any]) -> dict[str, Any]:
        """A mask that is true everywhere, for x (batch, time, …)."""
        shape = x["config"]["shape"]
        same = [self.operation(NUMPY, op, {}, [x, x], shape, "bool") for op in ("Equal", "NotEqual")]
        either = self.operation(NUMPY, "LogicalOr", {}, same, shape, "bool")
        axes = list(range(2, len(shape)))
        return self.operation(NUMPY, "Any", {"axis": axes, "keepdims": False}, [either], shape[:2], "bool")

    def emit(self, value: Value) -> dict[str, Any]:
        """A reference to a value of the old graph, made by operations where no layer makes it.

        Raises:
            UnsupportedError: it cannot be made in this model.
        """
        for (layer, call), tensors in self.runs[0].results.items():
            for position, found in enumerate(tensors):
                if found.value == value:
                    return self.maker.tensor((layer, call, position), found)
        node = self.nodes[value]
        type_ = self.old.types[value]
        shape, dtype = list(type_.shape), type_.dtype
        if isinstance(node, Elementwise) and node.op in OPERATIONS:
            args = [self._operand(arg) for arg in node.args]
            return self.operation(NUMPY, OPERATIONS[node.op], {}, args, shape, dtype)
        if isinstance(node, Reduce) and node.op in ("any", "all"):
            options = {"axis": list(node.axes), "keepdims": node.keepdims}
            return self.operation(NUMPY, node.op.title(), options, [self.emit(node.x)], shape, dtype)
        if isinstance(node, ExpandDims):
            return self.operation(NUMPY, "ExpandDims", {"axis": node.axis}, [self.emit(node.x)], shape, dtype)
        if isinstance(node, Flip):
            return self.operation(NUMPY, "Flip", {"axis": node.axis}, [self.emit(node.x)], shape, dtype)
        if isinstance(node, Cast):
            return self.operation(CORE, "Cast", {"dtype": node.dtype}, [self.emit(node.x)], shape, dtype)
        if isinstance(node, Concatenate):
            args = [[self.emit(arg) for arg in node.args]]
            return self.operation(NUMPY, "Concatenate", {"axis": node.axis}, args, shape, dtype)
        raise UnsupportedError(
            f"a mask of the old Keras, '{printable(value)}', cannot be written out for Keras 3", "E_NO_EQUIVALENT"
        )

    def _operand(self, value: Value) -> Any:
        node = self.nodes[value]
        if isinstance(node, Constant) and node.shape == ():
            return self.old.arrays[f"{node.namespace()}/value"].item()
        return self.emit(value)

    def operation(
        self, module: str, class_name: str, options: dict[str, Any], args: list[Any], shape: list[Any], dtype: str
    ) -> dict[str, Any]:
        """A reference to an operation on these arguments, made once."""
        key = repr((class_name, options, args))
        if key not in self.made:
            taken = {item["name"] for item in self.config["layers"]}
            number = 0
            while (name := f"mask_{class_name.lower()}{f'_{number}' if number else ''}") in taken:
                number += 1
            self.config["layers"].append(
                operation_on(module, class_name, name, options, [{"args": args, "kwargs": {}}])
            )
            inner = {"shape": shape, "dtype": dtype, "keras_history": [name, 0, 0]}
            self.made[key] = {"class_name": "__keras_tensor__", "config": inner}
        return moved_to(self.made[key], tuple(self.made[key]["config"]["keras_history"]))


def _formula(build: Builder, nodes: dict[Value, Node], value: Value | None) -> Any:
    """What computes a mask, in a form that can be compared between two graphs: layers stand for themselves."""
    if value is None:
        return None
    node = nodes[value]
    if isinstance(node, Constant):
        return build.arrays[f"{node.namespace()}/value"].tolist()
    if isinstance(node, Elementwise) and node.op in OPERATIONS:
        return (node.op, *(_formula(build, nodes, arg) for arg in node.args))
    if isinstance(node, Reduce | ExpandDims | Flip | Cast):
        settings = [getattr(node, key) for key in ("op", "axes", "axis", "dtype") if hasattr(node, key)]
        return (type(node).__name__, *settings, _formula(build, nodes, node.x))
    if isinstance(node, Concatenate):
        return ("concatenate", node.axis, *(_formula(build, nodes, arg) for arg in node.args))
    return value
