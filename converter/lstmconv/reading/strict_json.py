"""JSON that can mean only one thing (rule R5): strict UTF-8, no duplicate keys, no non-finite numbers, bounded.

The standard parser accepts a lone surrogate, `NaN`, the last of two equal keys, and recurses as deep as the text asks.
Depth and number of values are therefore counted before it sees the text, without recursion.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from ..errors import InvalidFileError, LimitError, printable

MAX_JSON_BYTES = 16 * 2**20
MAX_DEPTH = 64  # a nested model adds four levels, a wrapper two; real files stay under 30
MAX_NODES = 1_000_000
MAX_INT_DIGITS = 40

# Sections that say how a model was trained. They never reach the converter, and real ones hold Infinity and NaN.
_TRAINING_KEYS = frozenset({"compile_config", "training_config"})

# Possessive, so that a long string costs no backtracking memory.
_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{},]', re.DOTALL)


def parse_json(data: bytes | memoryview, what: str) -> Any:
    """The value that the UTF-8 JSON text `data` denotes; `what` names the text in messages.

    Raises InvalidFileError (E_CONFIG_JSON, E_CONFIG_DUPKEY) or LimitError (E_LIMIT_MEMBER, E_LIMIT_DEPTH,
    E_LIMIT_NODES).
    """
    if len(data) > MAX_JSON_BYTES:
        raise LimitError(f"{what}: has {len(data)} bytes; the limit is {MAX_JSON_BYTES}", "E_LIMIT_MEMBER")
    try:
        text = str(data, "utf-8", "strict")
    except UnicodeDecodeError as error:
        raise InvalidFileError(f"{what}: is not UTF-8 text (byte {error.start})", "E_CONFIG_JSON") from error
    if text.startswith("\ufeff"):
        raise InvalidFileError(f"{what}: starts with a byte order mark", "E_CONFIG_JSON")
    _check_size(text, what)

    def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise InvalidFileError(f"{what}: key '{printable(twice, 60)}' is there twice", "E_CONFIG_DUPKEY")
        return result

    def short_int(digits: str) -> int:
        if len(digits) > MAX_INT_DIGITS:
            raise InvalidFileError(f"{what}: holds an integer of {len(digits)} digits", "E_CONFIG_JSON")
        return int(digits)

    try:
        value = json.loads(text, object_pairs_hook=unique_keys, parse_int=short_int)
    except (ValueError, RecursionError, MemoryError) as error:
        raise InvalidFileError(f"{what}: is not JSON: {printable(str(error), 100)}", "E_CONFIG_JSON") from error
    _check_values(value, what)
    return value


def _check_size(text: str, what: str) -> None:
    depth = nodes = 0
    for tokens, match in enumerate(_TOKEN.finditer(text)):
        token = text[match.start()]
        if token in "[{":
            depth += 1
            nodes += 1
            if depth > MAX_DEPTH:
                raise LimitError(f"{what}: is nested more than {MAX_DEPTH} deep", "E_LIMIT_DEPTH")
        elif token == ",":
            nodes += 1
        elif token in "]}":
            depth -= 1
            if depth < 0:
                raise InvalidFileError(f"{what}: is not JSON: unbalanced brackets", "E_CONFIG_JSON")
        if nodes > MAX_NODES or tokens > 4 * MAX_NODES:
            raise LimitError(f"{what}: holds more than {MAX_NODES} values", "E_LIMIT_NODES")


def _check_values(value: Any, what: str) -> None:
    """Refuse lone surrogates anywhere, and non-finite numbers outside the training sections. Iterative."""
    waiting: list[tuple[Any, bool]] = [(value, True)]
    while waiting:
        item, finite = waiting.pop()
        if isinstance(item, str):
            _check_text(item, what)
        elif isinstance(item, float):
            if finite and not math.isfinite(item):
                raise InvalidFileError(f"{what}: holds the non-finite number {item}", "E_CONFIG_JSON")
        elif isinstance(item, list):
            waiting.extend((element, finite) for element in item)
        elif isinstance(item, dict):
            for key, element in item.items():
                _check_text(key, what)
                waiting.append((element, finite and key not in _TRAINING_KEYS))


def _check_text(text: str, what: str) -> None:
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidFileError(f"{what}: holds a lone surrogate in a string", "E_CONFIG_JSON") from error
