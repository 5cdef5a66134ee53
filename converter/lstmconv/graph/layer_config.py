"""Reading a layer's config so that nothing in it goes unnoticed.

Every key a handler reads is checked for its type; keys that play no part in inference are named as such; a key that is
neither is refused, because a setting that can change a result and is not understood must never be guessed at.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

from ..errors import InvalidFileError, LimitError, UnsupportedError, printable

MAX_SIZE = 2**20  # units, filters, kernel sizes: more is a hostile or broken file

# What training, building and saving need; inference does not.
HARMLESS = frozenset(
    {
        "name", "trainable", "build_config", "seed", "activity_regularizer",
        "kernel_initializer", "recurrent_initializer", "bias_initializer", "kernel_regularizer",
        "recurrent_regularizer", "bias_regularizer", "kernel_constraint", "recurrent_constraint", "bias_constraint",
        "input_shape", "batch_input_shape", "batch_shape", "input_dtype", "noise_shape",
    }
)  # fmt: skip


class Config:
    """The config of one layer, read key by key."""

    def __init__(self, where: str, values: Any, harmless: Collection[str] = HARMLESS) -> None:
        if type(values) is not dict or not all(type(key) is str for key in values):
            raise InvalidFileError(f"{where}: its config is not an object", "E_CONFIG_TYPE")
        self.where = where  # "layer 'lstm' (LSTM)", for messages
        self._values = values
        self._open = set(values) - set(harmless)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def raw(self, key: str, default: Any = None) -> Any:
        """The value as it is in the file."""
        self._open.discard(key)
        return self._values.get(key, default)

    def bad(self, key: str, what: str) -> InvalidFileError:
        """An error about one key."""
        return InvalidFileError(
            f"{self.where}: {key} {printable(self._values.get(key))} is not {what}", "E_CONFIG_TYPE"
        )

    def flag(self, key: str, default: bool | None = None) -> bool:
        value = self.raw(key, default)
        if type(value) is not bool:
            raise self.bad(key, "true or false")
        return value

    def integer(self, key: str, default: int | None = None, least: int = 1, most: int = MAX_SIZE) -> int:
        value = self.raw(key, default)
        if type(value) is not int:
            raise self.bad(key, "a whole number")
        if value > most:
            raise LimitError(f"{self.where}: {key} {value} is over the limit of {most}", "E_LIMIT_SIZE")
        if value < least:
            raise self.bad(key, f"a whole number of at least {least}")
        return value

    def integers(self, key: str, default: Any = None, length: int | None = None, least: int = 1) -> tuple[int, ...]:
        """A list of whole numbers; where `length` is given, one number stands for all."""
        value = self.raw(key, default)
        if type(value) is int and length is not None:
            value = [value] * length
        if type(value) is not list or not all(type(k) is int and least <= k <= MAX_SIZE for k in value):
            raise self.bad(key, "a list of whole numbers")
        if length is not None and len(value) != length:
            raise self.bad(key, f"a list of {length} whole numbers")
        return tuple(value)

    def number(self, key: str, default: float | None = None) -> float:
        value = self.raw(key, default)
        if type(value) not in (int, float) or not math.isfinite(value):
            raise self.bad(key, "a number")
        return float(value)

    def choice(self, key: str, choices: Collection[str | None], default: str | None = None) -> str | None:
        value = self.raw(key, default)
        if not (value is None or type(value) is str) or value not in choices:
            listed = ", ".join(map(str, choices))
            raise UnsupportedError(
                f"{self.where}: {key} {printable(value)!r} is not one of {listed}", "E_UNSUPPORTED_OPTION"
            )
        return value

    def only(self, key: str, *accepted: Any) -> None:
        """Refuses the layer unless the key is absent or has one of these values."""
        value = self.raw(key, accepted[0])
        if not any(type(value) is type(a) and value == a for a in accepted):
            listed = " or ".join(map(str, accepted))
            raise UnsupportedError(
                f"{self.where}: {key} {printable(value)!r} is not supported, only {listed}", "E_UNSUPPORTED_OPTION"
            )

    def ignore(self, *keys: str) -> None:
        """Keys of this class that play no part in inference."""
        self._open.difference_update(keys)

    def done(self) -> None:
        """Refuses the layer if a key was neither read nor known to be harmless.

        Raises:
            UnsupportedError: names the key.
        """
        for key in sorted(self._open):
            raise UnsupportedError(
                f"{self.where}: the option {printable(key)!r} is not known to this version, and may change the result",
                "E_UNSUPPORTED_OPTION",
            )
