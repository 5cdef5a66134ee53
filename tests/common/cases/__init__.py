"""The models of tests/vectors/parity: small Keras models, one per option or pairing that changes what is computed.

scripts/make_vectors.py gives them seeded weights, runs Keras on seeded inputs and writes one file per case. A case is
a function that returns a Keras model, or a model and the change to make to its drawn inputs. Layers of a case that has
several outputs carry the option in their names.
"""

from __future__ import annotations

from . import (
    bidirectional,
    cells,
    companions,
    constants,
    dtypes,
    functions,
    graphs,
    masks,
    merging,
    newer_layers,
    operations,
    preprocessing,
    recurrent,
    spatial,
    wrappers,
)
from .building import Case

FAMILIES: dict[str, dict[str, Case]] = {
    "recurrent": recurrent.CASES,
    "masks": masks.CASES,
    "cells": cells.CASES,
    "bidirectional": bidirectional.CASES,
    "wrappers": wrappers.CASES,
    "companions": companions.CASES,
    "merging": merging.CASES,
    "graphs": graphs.CASES,
    "operations": operations.CASES,
    "constants": constants.CASES,
    "dtypes": dtypes.CASES,
    "functions": functions.CASES,
    "newer layers": newer_layers.CASES,
    "preprocessing": preprocessing.CASES,
    "spatial": spatial.CASES,
}
CASES: dict[str, Case] = {name: case for cases in FAMILIES.values() for name, case in cases.items()}
assert len(CASES) == sum(map(len, FAMILIES.values())), "two families have a case of the same name"
