"""Old configs → today's: pure functions from dict to dict, one file per age, run once at the door.

    keras1            Keras 1.x    names of options, Merge, layers that have gone
    keras2            Keras 2, tf.keras 1.x and 2.x, and .h5 files of Keras 3
    inbound_nodes     calls of functional models, as lists
    tf_operations     TensorFlow functions that tf.keras recorded in functional models

The handlers know today's form alone. What has no modern name is refused by name.
"""

from __future__ import annotations

from typing import Any

from ..errors import LstmconvError
from ..semantics import version_tuple
from . import keras1, keras2


def todays_config(config: Any, keras_version: str | None) -> dict[str, Any]:
    """A model config of any age in today's form.

    Args:
        keras_version: as the file says; None for files before Keras 1.1 wrote it down.

    Raises:
        UnsupportedError: a layer or option without a modern equivalent.
        InvalidFileError: not a model config.
    """
    version = version_tuple(keras_version or "1")
    if version < (2,):
        config = keras1.to_keras2(config)
    return keras2.to_today(config, modern=version >= (3,))


def untranslated(config: Any, keras_version: str | None) -> list[LstmconvError]:
    """Every layer of a config that `todays_config` refuses, each by its error."""
    version = version_tuple(keras_version or "1")
    inner = config.get("config") if type(config) is dict else None
    layers = inner if type(inner) is list else inner.get("layers") if type(inner) is dict else None
    found: list[LstmconvError] = []
    layers = [layer for layer in layers or () if type(layer) is dict]
    names = {str(layer.get("name")) for layer in layers}
    for layer in layers:
        if layer.get("class_name") in keras2.MODELS:
            found += untranslated(layer, keras_version)
            continue
        try:
            made = keras1.to_keras2(layer) if version < (2,) else layer
            keras2.layer_entries(made, names, modern=version >= (3,))
        except LstmconvError as error:
            found.append(error)
    return found
