"""Old configs → today's: pure functions from dict to dict, one file per age, run once at the door.

    keras1            Keras 1.x    names of options, Merge, layers that have gone
    keras2            Keras 2, tf.keras 1.x and 2.x, and .h5 files of Keras 3
    inbound_nodes     calls of functional models, as lists
    tf_operations     TensorFlow functions that tf.keras recorded in functional models

The handlers know today's form alone. What has no modern name is refused by name.
"""

from __future__ import annotations

from typing import Any

from ...errors import LstmconvError
from ...reading import form
from ...reading.form import name_of
from ..semantics import version_tuple
from . import keras1, keras2


def todays_config(config: dict[str, Any], keras_version: str | None) -> dict[str, Any]:
    """A model config of any age (`form.as_written`) in today's form.

    Args:
        keras_version: as the file says; None for files before Keras 1.1 wrote it down.

    Raises:
        UnsupportedError: a layer or option without a modern equivalent.
        InvalidFileError: a call is not one.
    """
    version = version_tuple(keras_version or "1")
    if version < (2,):
        config = keras1.to_keras2(config)
    return keras2.to_today(config, modern=version >= (3,))


def untranslated(config: dict[str, Any], keras_version: str | None) -> list[LstmconvError]:
    """Every layer of a config that `todays_config` refuses, each by its error."""
    version = version_tuple(keras_version or "1")
    inner = config["config"]
    if config["class_name"] not in form.MODELS:
        return []  # nothing is known of what is inside
    layers: list[dict[str, Any]] = inner if type(inner) is list else inner["layers"]
    found: list[LstmconvError] = []
    names = {name_of(layer) for layer in layers}
    for layer in layers:
        if layer["class_name"] in form.MODELS:
            found += untranslated(layer, keras_version)
            continue
        try:
            made = keras1.to_keras2(layer) if version < (2,) else layer
            keras2.layer_entries(made, names, modern=version >= (3,))
        except LstmconvError as error:
            found.append(error)
    return found
