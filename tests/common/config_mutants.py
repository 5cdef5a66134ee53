"""Real configs of every age, changed at random: whatever the change, it ends in one of our errors or a sound bundle.

Read by test_mutated_configs, and by scripts/mutate_configs, which makes as many as one asks for.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from legacy_vectors import FIRST, architecture, model_path
from lstmconv.doctor import examine
from lstmconv.errors import LstmconvError
from lstmconv.exporting import bundle_of, convert
from lstmconv.reading import KerasFile, parse_keras_file
from lstmconv.reading.keras_archive import model_config
from lstmconv.reading.strict_json import parse_json
from lstmconv.upgrading.file import planned
from lstmconv_runtime import Model
from vector_files import NAMES, read_vector

LONGEST = 500  # characters of a message
SLOWEST = 10.0  # seconds; typical are hundredths
PARITY = NAMES[::5]  # of the configs of today's Keras, which differ less than old ones


@dataclass(frozen=True)
class Subject:
    """A committed model file, and the text of its config."""

    name: str
    data: bytes
    config: str
    beside: bool  # the config is not in the file, but given with --config

    def read(self) -> KerasFile:
        return parse_keras_file(self.data, "x")


@lru_cache
def subjects() -> list[Subject]:
    """The files that mutants are made of."""
    found = []
    for entry in FIRST:
        if entry["case"] == "masking_infinite":
            continue  # its config holds Infinity, which is refused as it is
        data, given = model_path(entry).read_bytes(), architecture(entry)
        config = parse_keras_file(data, "x").config if given is None else given
        found.append(Subject(f"{entry['env']}/{entry['file']}", data, json.dumps(config), given is not None))
    for name in PARITY:
        vector = read_vector(name)
        found.append(Subject(name, vector.keras_file, json.dumps(vector.config), False))
    return found


# --- changes ----------------------------------------------------------------------------------------------------------

Place = tuple[Any, Any]  # a dict or a list, and a key or an index into it

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 2**20, 2**31, 2**63, 10**39, -(2**63), 0.5, -0.0, 1e300, "", "x", "None", "LSTM",
    "linear", "../../x", "\x1b[31m\u202e\n", "a" * 2000, [], {}, [[]], [None], [0], [1, 2], [-1], [None, None, 3],
    [["x", 0, 0]], {"a": 1}, {"class_name": "LSTM"}, {"class_name": None, "config": {}}, {"config": {}},
    {"class_name": "Dense", "config": {"units": 1}}, {"class_name": "__keras_tensor__"},
    {"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}},
    {"class_name": "__numpy__", "config": {"value": [[1], [1, 2]], "dtype": "float32"}},
    {"class_name": "__tensor__", "config": {"value": "x", "dtype": 3}},
    {"class_name": "__slice__", "config": {"start": "x"}}, {"class_name": "__tuple__", "items": 3},
)  # fmt: skip
CLASSES = (
    "LSTM", "RNN", "Bidirectional", "TimeDistributed", "InputLayer", "Sequential", "Functional", "Model", "Merge",
    "TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "Embedding", "Dot", "Concatenate", "MultiHeadAttention",
    "StackedRNNCells", "BatchNormalization", "Reshape", "Lambda", "GetItem", "Add", "PReLU", "Normalization",
)  # fmt: skip


def places(tree: Any) -> list[Place]:
    """Every value in a tree but the tree itself."""
    found: list[Place] = []
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        keys: Any = item if isinstance(item, dict) else range(len(item))
        for key in keys:
            found.append((item, key))
            if isinstance(item[key], dict | list):
                waiting.append(item[key])
    return found


def _odd(chance: random.Random, holder: Any, key: Any, tree: Any) -> None:
    holder[key] = json.loads(json.dumps(chance.choice(ODD)))


def _removed(chance: random.Random, holder: Any, key: Any, tree: Any) -> None:
    del holder[key]


def _renamed(chance: random.Random, holder: Any, key: Any, tree: Any) -> None:
    value = holder[key]
    del holder[key]
    if isinstance(holder, dict):
        _, other = chance.choice([*places(tree), (tree, "x")])
        holder[other if isinstance(other, str) and chance.random() < 0.7 else f"{key}_"] = value
    else:
        holder.insert(chance.randrange(len(holder) + 1), value)


def _doubled(chance: random.Random, holder: Any, key: Any, tree: Any) -> None:
    if isinstance(holder, list):
        holder.insert(key, json.loads(json.dumps(holder[key])))
    else:
        holder[key] = [holder[key], json.loads(json.dumps(holder[key]))]


def _emptied(chance: random.Random, holder: Any, key: Any, tree: Any) -> None:
    holder[key] = type(holder[key])() if holder[key] is not None else {}


def _from_elsewhere(chance: random.Random, holder: Any, key: Any, tree: Any) -> None:
    other, place = chance.choice(places(tree))  # itself among them
    holder[key] = json.loads(json.dumps(other[place]))


def _swapped(chance: random.Random, holder: Any, key: Any, tree: Any) -> None:
    alike = [(h, k) for h, k in places(tree) if type(h[k]) is type(holder[key])]
    other, place = chance.choice(alike)
    holder[key], other[place] = json.loads(json.dumps(other[place])), json.loads(json.dumps(holder[key]))


def _other_type(chance: random.Random, holder: Any, key: Any, tree: Any) -> None:
    value = holder[key]
    holder[key] = chance.choice([
        [value], {"class_name": value, "config": value}, str(value), len(str(value)), {"x": value}, [[value, 0, 0]],
        bool(value),
    ])  # fmt: skip


def _other_number(chance: random.Random, holder: Any, key: Any, tree: Any) -> None:
    numbers = [(h, k) for h, k in places(tree) if type(h[k]) in (int, float)]
    if numbers:
        holder, key = chance.choice(numbers)
        value = holder[key]
        holder[key] = chance.choice([value + 1, -value, value * 2, 2**40, 0, float(value), value - 1])


def _other_name(chance: random.Random, holder: Any, key: Any, tree: Any) -> None:
    """A reference to another layer, to itself, or to nothing."""
    names = [h[k] for h, k in places(tree) if k == "name" and isinstance(h[k], str)]
    texts = [(h, k) for h, k in places(tree) if isinstance(h[k], str) and h[k] in names]
    if texts:
        holder, key = chance.choice(texts)
        holder[key] = chance.choice([*names, "nothing", ""])


def _other_class(chance: random.Random, holder: Any, key: Any, tree: Any) -> None:
    named = [h for h, k in places(tree) if k == "class_name"]
    if named:
        chance.choice(named)["class_name"] = chance.choice(CLASSES)


def _deeper(chance: random.Random, holder: Any, key: Any, tree: Any) -> None:
    for _ in range(chance.choice((3, 30, 70))):
        holder[key] = [holder[key]] if chance.random() < 0.5 else {"config": holder[key]}


CHANGES: tuple[Callable[[random.Random, Any, Any, Any], None], ...] = (
    _odd, _odd, _odd, _removed, _removed, _renamed, _doubled, _emptied, _from_elsewhere, _swapped, _other_type,
    _other_number, _other_name, _other_name, _other_class, _deeper,
)  # fmt: skip
TRAINING = ("initializer", "regularizer", "constraint", "compile_config", "build_config", "optimizer")


def mutant(config: str, chance: random.Random) -> str:
    """The JSON text of a config with one change, or a few."""
    tree = json.loads(config)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        found = places(tree)
        while found:
            holder, key = chance.choice(found)
            # Half of a config plays no part in inference; it is changed seldom.
            if chance.random() < 0.05 or not any(word in str(key) for word in TRAINING):
                chance.choice(CHANGES)(chance, holder, key, tree)
                break
    return json.dumps(tree)


# --- what becomes of them ---------------------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What became of a number of mutants.

    Attributes:
        ends: how many ended in each error code, "converted" among them.
        faults: what should never happen, each in a line, with the mutant that shows it.
    """

    ends: Counter[str] = field(default_factory=Counter)
    faults: list[tuple[str, str]] = field(default_factory=list)


def check(subject: Subject, text: str, chance: random.Random) -> str:
    """The error code that a mutant ends in, or "converted".

    Raises:
        Exception: whatever is neither a documented error nor a sound conversion.
    """
    try:
        config = model_config(parse_json(text.encode(), "the config"), "x")
        file, given = subject.read(), None
        file, given = (file, config) if subject.beside else (replace(file, config=config), None)
        way = chance.random()
        if way < 0.1:
            page = examine.report_text(examine.report(file, Path("x.keras"), given))
            assert page.isascii(), "a page that is not ASCII"
            return "a page of doctor"
        if way < 0.2:
            planned(file, given)
            return "upgraded"
        conversion = convert(file, architecture=given)
        found = Model(bundle_of(conversion)).verify()
        assert found.ok or not found.probes, "a bundle that does not verify"  # of some no probe is found
    except LstmconvError as error:
        return sound_error(error)
    return "converted"


def sound_error(error: LstmconvError) -> str:
    """The code of an error, once its message is one that can be shown."""
    assert error.code != "E_BUG", str(error)
    assert str(error).isprintable(), "a message that is not printable"
    assert len(str(error)) <= LONGEST, f"a message of {len(str(error))} characters: {error}"
    return error.code


def run(numbers: Iterator[int] | range) -> Outcome:
    """Makes and checks the mutants of these numbers."""
    outcome = Outcome()
    for number in numbers:
        chance = random.Random(number)
        subject = subjects()[number % len(subjects())]
        text = mutant(subject.config, chance)
        started = time.process_time()
        try:
            outcome.ends[check(subject, text, chance)] += 1
        except Exception as error:  # whatever it is, it is what this looks for
            at = error.__traceback__
            while at is not None and at.tb_next is not None:
                at = at.tb_next
            where = f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}" if at else ""
            line = f"mutant {number} of {subject.name}: {type(error).__name__} at {where}: {error}"
            outcome.faults.append((line[:400], text))
        spent = time.process_time() - started
        if spent > SLOWEST:
            outcome.faults.append((f"mutant {number} of {subject.name} took {spent:.1f} s", text))
    return outcome
