"""Frozen records declared by annotations, as `dataclasses` makes them, without the time those take to import.

A dataclass compiles its methods as source text when it is declared, half a millisecond each: the vocabulary of nodes
would make up most of the time that importing this package takes. A Record has the same methods, written once.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self, dataclass_transform


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Record:
    """Base of frozen records; every field is given by name.

    FIELDS maps the name of each field, those of base classes first, to its annotation as it is written.
    """

    FIELDS: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls) -> None:
        declared: dict[str, str] = cls.__annotations__
        own = {name: annotation for name, annotation in declared.items() if not annotation.startswith("ClassVar")}
        cls.FIELDS = {**cls.FIELDS, **own}

    def __init__(self, **values: Any) -> None:
        if values.keys() != self.FIELDS.keys():
            odd = ", ".join(sorted(values.keys() ^ self.FIELDS.keys()))
            raise TypeError(f"{type(self).__name__}: missing or unknown: {odd}")
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self.FIELDS)
        return f"{type(self).__name__}({values})"

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return type(self)(**{**self.__dict__, **changes})
