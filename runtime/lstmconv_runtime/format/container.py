"""The container: a strict safetensors file, its header and metadata (rules N01 to N03 of FORMAT.md), and the digest."""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import prod
from typing import Any, NoReturn

import numpy as np

from .graph import Array
from .graph_json import canonical, object_with, refuse

MAX_HEADER = 16 * 1024 * 1024


MAX_RANK = 16
MAX_DEPTH = 64  # of objects and lists within each other; a bundle has 6
MAX_DIGITS = 100  # of a whole number, its sign included
ENTRY = ("dtype", "shape", "data_offsets")  # the fields of an entry, in their order


OTHER_FILES = {  # by their first bytes, with which no bundle begins
    b"PK\3\4": "a zip archive, as .keras files are",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as .h5 models are",
}


TENSOR_DTYPES = {  # in the order that the entries of a header have
    "I64": "int64", "F64": "float64", "F32": "float32", "U32": "uint32", "I32": "int32", "F16": "float16",
    "U16": "uint16", "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


def digest(metadata: Mapping[str, Any], tensors: Mapping[str, Array]) -> str:
    """SHA-256 over the canonical metadata without its digest, then each tensor by name: name, dtype, shape, data."""
    import hashlib  # takes a fifth of the time that the package takes to import, and is needed to load alone

    sha = hashlib.sha256(canonical(metadata).encode())
    for name in sorted(tensors):
        array = tensors[name]
        sha.update(f"\0{name}\0{array.dtype.name}\0{canonical(list(array.shape))}\0".encode())
        sha.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False)).data)
    return f"sha256:{sha.hexdigest()}"


def _strict_json(text: bytes | str, what: str) -> Any:
    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(items)
        if len(made) != len(items):
            refuse(f"{what}: duplicate key", "E_BUNDLE_FORMAT")
        return made

    def constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not a number")

    def whole(number: str) -> int:
        if len(number) > MAX_DIGITS:
            raise ValueError(f"a number of {len(number)} characters")
        return int(number)

    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        made = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_int=whole)
        if _is_deeper(made, MAX_DEPTH):
            raise ValueError(f"more than {MAX_DEPTH} objects and lists within each other")
        # Refuses lone surrogates and numbers that overflow, which the parser lets through.
        json.dumps(made, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        refuse(f"{what} is not strict JSON: {error}", "E_BUNDLE_FORMAT")
    return made


def _is_deeper(value: Any, most: int) -> bool:
    """Whether there are more than so many objects and lists within each other."""
    level = [value]
    for _ in range(most):
        held = [item for item in level if isinstance(item, dict | list)]
        level = [child for item in held for child in (item.values() if isinstance(item, dict) else item)]
    return any(isinstance(item, dict | list) for item in level)


def checked_header(data: bytes) -> dict[str, Any]:
    """N01, N02: the header, after checking that the tensors fill the file without gap, overlap or rest."""
    format_ = "E_BUNDLE_FORMAT"
    looks_like = next((what for start, what in OTHER_FILES.items() if data.startswith(start)), None)
    if looks_like is not None:
        refuse(f"this is {looks_like}, not a bundle; `lstmconv export` makes the bundle of a Keras model", format_)
    if len(data) < 10:
        refuse(f"not a safetensors file: {len(data)} bytes are too short for one", format_)
    length = int.from_bytes(data[:8], "little")
    if length > MAX_HEADER or 8 + length > len(data) or data[8:9] != b"{":
        refuse("not a safetensors file: bad header length", format_)
    text = data[8 : 8 + length]
    header = _strict_json(text, "header")
    if type(header) is not dict:
        refuse("the header is not an object", format_)
    # Every bit of the header thereby stands for something that the digest or the checks below cover.
    if text != header_bytes(header):
        refuse("the header is not compact JSON padded with spaces to a multiple of 8 bytes", format_)
    position = 0
    for name, entry in header.items():
        if name != "__metadata__":
            start, stop = _check_entry(f"tensor {name!r:.200}", entry, len(data))
            if start != position:
                refuse("tensors overlap, leave a gap or are out of order", format_)
            position = stop
    if 8 + length + position != len(data):
        refuse("bytes are missing or left over at the end", format_)
    if list(header) != sorted(header, key=lambda name: place(name, header[name])):
        refuse("the tensors are not in the order of their dtypes and names", format_)
    return header


def header_bytes(header: Mapping[str, Any]) -> bytes:
    """A header as text: compact JSON, padded with spaces to a multiple of 8 bytes."""
    compact = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    return compact + b" " * (-len(compact) % 8)


DTYPE_ORDER = {dtype: place for place, dtype in enumerate(TENSOR_DTYPES)}


def place(name: str, entry: dict[str, Any]) -> tuple[int, str]:
    """What the entries of a header are sorted by, so that equal models are equal files; the metadata come first."""
    return (-1, "") if name == "__metadata__" else (DTYPE_ORDER[entry["dtype"]], name)


def _check_entry(where: str, entry: Any, limit: int) -> tuple[int, int]:
    """The first and last offset of a tensor, checked against its dtype and shape."""
    format_ = "E_BUNDLE_FORMAT"
    if list(object_with(entry, where, set(ENTRY), format_)) != list(ENTRY):
        refuse(f"{where}: its fields are not in the order {', '.join(ENTRY)}", format_)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(dtype) is not str or dtype not in TENSOR_DTYPES:
        refuse(f"{where}: dtype {dtype!r:.100} is not one of {', '.join(TENSOR_DTYPES)}", "E_BUNDLE_CONTRACT")
    for numbers, most in ((shape, MAX_RANK), (offsets, 2)):
        if type(numbers) is not list or len(numbers) > most:
            refuse(f"{where}: bad shape or offsets", format_)
        if not all(type(k) is int and 0 <= k <= limit for k in numbers):
            refuse(f"{where}: bad shape or offsets", format_)
    itemsize = np.dtype(TENSOR_DTYPES[dtype]).itemsize
    if itemsize * prod(max(1, k) for k in shape) >= 2**63:  # a product with a 0 in it, which NumPy cannot hold either
        refuse(f"{where}: the shape {shape} is too large", format_)
    if len(offsets) != 2 or offsets[1] - offsets[0] != itemsize * prod(shape):
        refuse(f"{where}: {dtype} {shape} does not take the bytes {offsets}", format_)
    return offsets[0], offsets[1]


def metadata_of(header: dict[str, Any]) -> dict[str, Any]:
    """N03, and that the text is canonical."""
    code = "E_BUNDLE_FORMAT"
    outer = header.get("__metadata__")
    if type(outer) is not dict or set(outer) != {"lstmconv"} or type(outer["lstmconv"]) is not str:
        refuse('the metadata is not exactly one key, "lstmconv": this is not an lstmconv bundle', code)
    metadata = _strict_json(outer["lstmconv"], "metadata")
    if type(metadata) is not dict:
        refuse("the metadata is not an object", code)
    if canonical(metadata) != outer["lstmconv"]:
        refuse("the metadata is not canonical JSON", code)
    return metadata
