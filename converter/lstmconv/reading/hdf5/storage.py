"""HDF5 datasets: from the messages that describe one to its array.

Decoded here and not by pyfive, which reads contiguous data over 4 MiB wrongly when the rows are uneven, takes every
2-byte float for an IEEE half, fills with zeros what is not stored, and inflates without a limit. What is declared must
be what is stored, and is compared before anything is allocated.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from pyfive.btree import BTreeV1RawDataChunks
from pyfive.dataobjects import determine_data_shape

from ...errors import InvalidFileError, LimitError, UnsupportedError
from .metered_bytes import MeteredBytes
from .objects import DATASPACE, DATATYPE, EXTERNAL_FILES, FILTERS, LAYOUT, UNDEFINED, Message

MAX_RANK = 8

_DEFLATE, _SHUFFLE = 1, 2
_OTHER_FILTERS = {3: "fletcher32", 4: "szip", 5: "n-bit", 6: "scale-offset", 32000: "lzf"}

# (bit offset, precision, exponent at, exponent bits, mantissa at, mantissa bits, exponent bias) → name
_FLOATS = {
    (0, 16, 10, 5, 0, 10, 15): "float16",
    (0, 16, 7, 8, 0, 7, 127): "bfloat16",
    (0, 32, 23, 8, 0, 23, 127): "float32",
    (0, 64, 52, 11, 0, 52, 1023): "float64",
}

Claim = Callable[[int, int], None]


@dataclass(frozen=True)
class Storage:
    """Where the bytes of a dataset lie: exactly one of `compact`, `start` + `size`, or `index` + `chunk`."""

    compact: bytes | None = None
    start: int = UNDEFINED
    size: int = 0
    index: int = UNDEFINED  # address of the B-tree of the chunks
    chunk: tuple[int, ...] = ()  # chunk shape, the element size as last number
    filters: tuple[int, ...] = ()


def storage_of(messages: list[Message], where: str) -> Storage:
    """Where a dataset is stored. Raises for storage outside the file, filters and layouts that are not read."""
    kinds = [message.kind for message in messages]
    if EXTERNAL_FILES in kinds:
        raise InvalidFileError(f"{where}: its data is in another file", "E_H5_EXTERNAL")
    body = _only(messages, LAYOUT, where)
    version, layout = body[0], body[1]
    if version in (1, 2):
        raise UnsupportedError(f"{where}: written by HDF5 older than 1.6.3; re-save it with Keras", "E_H5_LAYOUT")
    if version not in (3, 4, 5) or layout > 3:
        raise InvalidFileError(f"{where}: has an unknown storage layout", "E_H5_LAYOUT")
    if layout == 3:
        raise InvalidFileError(f"{where}: is virtual: its data is in other datasets", "E_H5_VIRTUAL")
    filters = _filters(_only(messages, FILTERS, where), where) if FILTERS in kinds else ()
    if layout != 2 and filters:
        raise InvalidFileError(f"{where}: has filters without chunks", "E_H5_FILTER")
    if layout == 0:
        (size,) = struct.unpack_from("<H", body, 2)
        if len(body) < 4 + size:
            raise InvalidFileError(f"{where}: is cut short", "E_H5_SIZE")
        return Storage(compact=body[4 : 4 + size])
    if layout == 1:
        start, size = struct.unpack_from("<QQ", body, 2)
        return Storage(start=start, size=size)
    if version != 3:
        raise UnsupportedError(
            f"{where}: has chunks indexed as only HDF5 1.10 and newer do; re-save it with Keras", "E_H5_LAYOUT"
        )
    rank, index = struct.unpack_from("<BQ", body, 2)
    return Storage(index=index, chunk=struct.unpack_from(f"<{rank}I", body, 11), filters=filters)


def dtype_name(messages: list[Message], where: str) -> tuple[str, np.dtype[np.generic]]:
    """(name of the stored type, NumPy type of the stored bytes); bfloat16 is stored as uint16."""
    body = _only(messages, DATATYPE, where)
    kind, bits, version = body[0] & 0x0F, body[1:4], body[0] >> 4
    (size,) = struct.unpack_from("<I", body, 4)
    order = ">" if bits[0] & 1 else "<"
    if kind == 0 and size in (1, 2, 4, 8) and struct.unpack_from("<HH", body, 8) == (0, 8 * size):
        stored = np.dtype(f"{order}{'i' if bits[0] & 8 else 'u'}{size}")
        return stored.newbyteorder("=").name, stored
    if kind == 1 and bits[0] & 0x70 == 0x20 and bits[1] == 8 * size - 1:
        name = _FLOATS.get(struct.unpack_from("<HHBBBBI", body, 8))
        if name is not None and int(name.lstrip("bfloat")) == 8 * size:
            return name, np.dtype(f"{order}{'u2' if name == 'bfloat16' else f'f{size}'}")
    if kind == 5 and size == 2 and not body[8:].strip(b"\0"):
        return "bfloat16", np.dtype("<u2")  # so h5py writes the bfloat16 of ml_dtypes, and Keras lets it
    if kind == 8 and size == 1 and bits[0] == 2 and not bits[1]:
        pad = 8 if version < 3 else 1
        names = b"".join(name.ljust(-(-len(name) // pad) * pad, b"\0") for name in (b"FALSE\0", b"TRUE\0"))
        if body[8] & 0x0F == 0 and body[20:].startswith(names + b"\0\1"):
            return "bool", np.dtype(np.bool_)
    raise InvalidFileError(f"{where}: its type (HDF5 class {kind}, {size} bytes) is not one of weights", "E_H5_DTYPE")


def read_array(
    messages: list[Message], storage: Storage, source: MeteredBytes, claim: Claim, spare: int, where: str
) -> np.ndarray:
    """The array of a dataset: C-contiguous, native byte order, its own memory; bfloat16 widened to float32.

    `claim(start, end)` is called for each piece of the file that chunks take up; `spare` is how many bytes chunks may
    unfold to.
    """
    shape, _ = determine_data_shape(_only(messages, DATASPACE, where), 0)
    if shape is None or 0 in shape:
        raise InvalidFileError(f"{where}: is empty", "E_H5_SHAPE")
    if len(shape) > MAX_RANK:
        raise InvalidFileError(f"{where}: has {len(shape)} dimensions", "E_H5_SHAPE")
    name, stored = dtype_name(messages, where)
    size = math.prod(shape) * stored.itemsize
    if storage.chunk:
        array = _read_chunks(shape, stored, storage, source, claim, spare, where)
    else:
        data: memoryview | bytes | None = storage.compact
        if data is None:
            if storage.start == UNDEFINED or storage.start + storage.size > len(source.data):
                raise InvalidFileError(f"{where}: is not stored in the file", "E_H5_SIZE")
            data = source.data[storage.start : storage.start + storage.size]
        if len(data) != size:
            raise InvalidFileError(f"{where}: declares {size} bytes and stores {len(data)}", "E_H5_SIZE")
        array = np.frombuffer(data, stored).reshape(shape)
    if name == "bool" and array.view(np.uint8).max() > 1:
        raise InvalidFileError(f"{where}: holds a truth value that is neither true nor false", "E_H5_DTYPE")
    if name == "bfloat16":
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return array.astype(stored.newbyteorder("="), order="C", copy=True)


def _read_chunks(
    shape: tuple[int, ...],
    stored: np.dtype[np.generic],
    storage: Storage,
    source: MeteredBytes,
    claim: Claim,
    spare: int,
    where: str,
) -> np.ndarray:
    chunk = storage.chunk[:-1]
    if len(chunk) != len(shape) or 0 in chunk or storage.chunk[-1] != stored.itemsize:
        raise InvalidFileError(f"{where}: its chunks do not fit its shape", "E_H5_SHAPE")
    if storage.index == UNDEFINED:
        raise InvalidFileError(f"{where}: is not stored in the file", "E_H5_SIZE")
    count = math.prod(-(-length // step) for length, step in zip(shape, chunk, strict=True))
    size = math.prod(chunk) * stored.itemsize
    tree = BTreeV1RawDataChunks(source, storage.index, len(storage.chunk))
    pieces = {
        tuple(key["chunk_offset"]): (address, key["chunk_size"], key["filter_mask"])
        for node in tree.all_nodes[0]
        for key, address in zip(node["keys"], node["addresses"], strict=True)
    }
    listed = sum(len(node["keys"]) for node in tree.all_nodes[0])
    if not len(pieces) == listed == count:
        raise InvalidFileError(f"{where}: stores {listed} chunks of {count}", "E_H5_SIZE")
    if count * size > spare:
        raise LimitError(f"{where}: unfolds to far more bytes than the file has", "E_LIMIT_MEMBER")
    for place, (address, length, mask) in pieces.items():
        outside = any(at % step or at >= end for at, step, end in zip(place, chunk, shape, strict=False))
        if outside or place[-1] or mask or address + length > len(source.data):
            raise InvalidFileError(f"{where}: a chunk is out of place", "E_H5_SIZE")
        claim(address, address + length)
    array = np.empty(shape, stored)
    for place, (address, length, _) in pieces.items():
        raw = _unfilter(source.data[address : address + length], size, storage.filters, stored.itemsize, where)
        block = np.frombuffer(raw, stored).reshape(chunk)
        target = tuple(slice(at, min(at + step, end)) for at, step, end in zip(place, chunk, shape, strict=False))
        array[target] = block[tuple(slice(0, part.stop - part.start) for part in target)]
    return array


def _unfilter(raw: memoryview, size: int, filters: tuple[int, ...], itemsize: int, where: str) -> memoryview | bytes:
    result: memoryview | bytes = raw
    for code in reversed(filters):
        if code == _DEFLATE:
            inflater = zlib.decompressobj()
            try:
                result = inflater.decompress(result, size + 1)
            except zlib.error as error:
                raise InvalidFileError(f"{where}: a compressed chunk is damaged", "E_H5_SIZE") from error
            if not inflater.eof:
                raise InvalidFileError(f"{where}: a chunk unfolds to another size than declared", "E_H5_SIZE")
        elif len(result) == size:
            result = np.frombuffer(result, np.uint8).reshape(itemsize, -1).T.tobytes()
    if len(result) != size:
        raise InvalidFileError(f"{where}: a chunk unfolds to another size than declared", "E_H5_SIZE")
    return result


def _filters(body: bytes, where: str) -> tuple[int, ...]:
    """The filter numbers of a filter pipeline message, in the order in which they were applied."""
    version, count = body[0], body[1]
    if version not in (1, 2):
        raise InvalidFileError(f"{where}: has filters of an unknown form", "E_H5_FILTER")
    at, codes = (8 if version == 1 else 2), []
    for _ in range(count):
        (code,) = struct.unpack_from("<H", body, at)
        named = version == 1 or code > 255
        (name_size,) = struct.unpack_from("<H", body, at + 2) if named else (0,)
        at += 4 if named else 2
        (values,) = struct.unpack_from("<H", body, at + 2)
        at += 4 + (-(-name_size // 8) * 8 if version == 1 else name_size) + 4 * values
        at += 4 if version == 1 and values % 2 else 0
        codes.append(code)
    for code in codes:
        if code in _OTHER_FILTERS:
            raise UnsupportedError(
                f"{where}: is packed with {_OTHER_FILTERS[code]}; re-save the model with Keras", "E_H5_FILTER"
            )
        if code not in (_DEFLATE, _SHUFFLE):
            raise InvalidFileError(f"{where}: is packed with the unknown filter {code}", "E_H5_FILTER")
    if len(set(codes)) != len(codes):
        raise InvalidFileError(f"{where}: has the same filter twice", "E_H5_FILTER")
    return tuple(codes)


def _only(messages: list[Message], kind: int, where: str) -> bytes:
    bodies = [message.body for message in messages if message.kind == kind]
    if len(bodies) != 1:
        raise InvalidFileError(f"{where}: its description is incomplete or doubled", "E_H5_INVALID")
    return bodies[0]
