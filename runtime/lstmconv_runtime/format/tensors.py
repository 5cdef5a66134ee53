"""The tensors of a safetensors file ⇄ arrays: by the safetensors library, and where that is not installed, by NumPy.

The library's core is compiled, so that a platform may have NumPy and not it. All checks are in `container`, before the
tensors are read, so both read the same files; and both write the same bytes, which are those that the checks ask for.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from .container import ENTRY, TENSOR_DTYPES, header_bytes, place
from .graph import Array
from .graph_json import refuse

try:
    from safetensors import SafetensorError
    from safetensors import numpy as _safetensors

    library: Any = _safetensors
except ImportError:
    library = None


def read_tensors(data: bytes, header: Mapping[str, Any]) -> dict[str, Array]:
    """The arrays of a file by name.

    Args:
        data: the whole file.
        header: what `container.checked_header` gave for it.

    Raises:
        BundleError: the library does not read it.
    """
    if library is None:
        return read_with_numpy(data, header)
    try:
        found: dict[str, Array] = library.load(data)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        refuse(f"not a safetensors file: {error}", "E_BUNDLE_FORMAT")
    # Which the library gives in any order; in that of the file, the same file always has the same error.
    return {name: found[name] for name in header if name != "__metadata__"}


def write_tensors(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """A file of these arrays (C-contiguous, of this machine's byte order) and this text by name."""
    if library is None:
        return write_with_numpy(tensors, metadata)
    data: bytes = library.save(dict(tensors), dict(metadata))
    return data


def read_with_numpy(data: bytes, header: Mapping[str, Any]) -> dict[str, Array]:
    """As `read_tensors`, without the library."""
    begin = 8 + int.from_bytes(data[:8], "little")
    arrays = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, stop = entry["data_offsets"]
            dtype = np.dtype(TENSOR_DTYPES[entry["dtype"]])
            array = np.frombuffer(data[begin + start : begin + stop], dtype).reshape(entry["shape"])
            arrays[name] = array if sys.byteorder == "little" else array.byteswap()
    return arrays


def write_with_numpy(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """As `write_tensors`, without the library."""
    codes = {dtype: code for code, dtype in TENSOR_DTYPES.items()}
    entries = {name: {"dtype": codes[array.dtype.name], "shape": list(array.shape)} for name, array in tensors.items()}
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    parts, position = [], 0
    for name in sorted(entries, key=lambda name: place(name, entries[name])):
        array = tensors[name]
        part = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        stop = position + len(part)
        header[name] = dict(zip(ENTRY, (*entries[name].values(), [position, stop]), strict=True))
        parts.append(part)
        position = stop
    text = header_bytes(header)
    return b"".join([len(text).to_bytes(8, "little"), text, *parts])
