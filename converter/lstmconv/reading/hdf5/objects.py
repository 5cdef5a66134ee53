"""HDF5 object headers and what they list: messages, links, attributes.

pyfive finds the pieces (headers, B-trees, heaps); this module looks at each piece before using it, since pyfive drops
links it does not know, ignores flags that change the meaning of a message, and checks with `assert`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from pyfive.btree import BTreeV1Groups, BTreeV2AttrNames, BTreeV2GroupNames, BTreeV2GroupOrders
from pyfive.dataobjects import ATTR_INFO_MESSAGE, ATTR_INFO_MESSAGE_NO_MCI, DataObjects, determine_data_shape
from pyfive.misc_low_level import FractalHeap, GlobalHeap, Heap, SymbolTable

from ...errors import InvalidFileError, LimitError, printable
from .metered_bytes import MAX_HEADER_BYTES, MeteredBytes

DATASPACE, LINK_INFO, DATATYPE, LINK, EXTERNAL_FILES, LAYOUT = 0x01, 0x02, 0x03, 0x06, 0x07, 0x08
GROUP_INFO, FILTERS, ATTRIBUTE, SYMBOL_TABLE, ATTRIBUTE_INFO = 0x0A, 0x0B, 0x0C, 0x11, 0x15
UNDEFINED = 0xFFFFFFFFFFFFFFFF

MAX_MESSAGES = 1024
MAX_NAME_BYTES = 1024
MAX_ATTRIBUTE_BYTES = 16 * 2**20
_MAX_HEADER_BYTES_V2 = 2**19  # a message may be 4 bytes there, and costs hundreds once parsed
_MAX_BTREE2_DEPTH = 16
_SHARED = 0x02


Attributes = dict[str, str | tuple[str, ...] | None]


@dataclass(frozen=True)
class Message:
    kind: int
    flags: int
    body: bytes


@dataclass
class Objects:
    """Reads the objects of one HDF5 file."""

    source: MeteredBytes
    _heaps: dict[int, dict[int, bytes]] = field(default_factory=dict)

    def messages(self, address: int) -> list[Message]:
        """The messages of the object header at `address`."""
        first = self.source.data[address : address + 4]
        if len(first) < 4:
            raise InvalidFileError("an HDF5 object lies outside the file", "E_H5_INVALID")
        if first[0] == 1 and struct.unpack_from("<H", first, 2)[0] > MAX_MESSAGES:
            raise LimitError(f"an HDF5 object has more than {MAX_MESSAGES} header messages", "E_LIMIT_PARSE")
        with self.source.at_most(MAX_HEADER_BYTES if first[0] == 1 else _MAX_HEADER_BYTES_V2):
            header = DataObjects(self.source, address)
        result = []
        for message in header.msgs:
            start = message["offset_to_message"]
            body = header.msg_data[start : start + message["size"]]
            if len(body) != message["size"]:
                raise InvalidFileError("an HDF5 header message is cut short", "E_H5_INVALID")
            if message["flags"] & _SHARED and message["type"] in (DATASPACE, DATATYPE, FILTERS, ATTRIBUTE, LAYOUT):
                raise InvalidFileError("an HDF5 object shares its description with another", "E_H5_INVALID")
            result.append(Message(message["type"], message["flags"], body))
        return result

    def links(self, messages: list[Message], where: str) -> dict[str, int]:
        """Name → object address of the hard links of a group, in the order of the file; any other link is refused."""
        result: dict[str, int] = {}
        for name, address in self._iter_links(messages, where):
            if name in result:
                raise InvalidFileError(f"{where}: two links have the name '{printable(name, 80)}'", "E_H5_ALIAS")
            if name in ("", ".", "..") or "/" in name or "\0" in name:
                raise InvalidFileError(f"{where}: a link has the name '{printable(name, 80)}'", "E_H5_INVALID")
            if len(name) > MAX_NAME_BYTES:
                raise LimitError(f"{where}: a link's name has over {MAX_NAME_BYTES} characters", "E_LIMIT_PARSE")
            result[name] = address
        return result

    def _iter_links(self, messages: list[Message], where: str) -> Iterator[tuple[str, int]]:
        for message in messages:
            if message.kind == SYMBOL_TABLE:
                yield from self._symbol_table_links(message.body, where)
            elif message.kind == LINK:
                yield _hard_link(message.body, where)[1]
            elif message.kind == LINK_INFO:
                addresses = DataObjects._decode_link_info_msg(message.body, 0)
                if addresses["name_btree_address"] is not None:
                    yield from self._dense_links(addresses, where)

    def _symbol_table_links(self, body: bytes, where: str) -> Iterator[tuple[str, int]]:
        tree_address, heap_address = struct.unpack_from("<QQ", body)
        names = Heap(self.source, heap_address).data
        for node in BTreeV1Groups(self.source, tree_address).symbol_table_addresses():
            for entry in SymbolTable(self.source, node).entries:
                start = entry["link_name_offset"]
                end = names.find(b"\0", start, start + MAX_NAME_BYTES + 1)
                if end < 0:
                    raise InvalidFileError(f"{where}: a link's name does not end", "E_H5_INVALID")
                name = names[start:end].decode("utf-8")
                if entry["cache_type"] == 2:
                    raise _not_hard(name, where)
                if entry["cache_type"] not in (0, 1):
                    raise InvalidFileError(f"{where}: a link of unknown kind", "E_H5_INVALID")
                yield name, entry["object_header_address"]

    def _dense_links(self, addresses: dict[str, int | None], where: str) -> Iterator[tuple[str, int]]:
        heap = self._fractal_heap(addresses["heap_address"])
        by_order = addresses.get("order_btree_address")
        address = addresses["name_btree_address"] if by_order is None else by_order
        self._check_btree2(address)
        tree = (BTreeV2GroupNames if by_order is None else BTreeV2GroupOrders)(self.source, address)
        found = [_hard_link(heap.get_data(record["heapid"]), where) for record in tree.iter_records()]
        for _, link in sorted(found, key=lambda pair: pair[1][0] if by_order is None else pair[0] or 0):
            yield link

    def attributes(self, messages: list[Message], names: frozenset[str]) -> Attributes:
        """Those attributes called one of `names`, or one of them with a number behind.

        A scalar text is a str, an array of them a tuple of str, an array without elements (), anything else None.
        """
        bodies = [message.body for message in messages if message.kind == ATTRIBUTE]
        for message in messages:
            if message.kind == ATTRIBUTE_INFO:
                bodies += self._dense_attributes(message.body)
        result: Attributes = {}
        for body in bodies:
            name, rest = _attribute_name(body)
            if name.rstrip("0123456789") not in names:
                continue
            if name in result:
                raise InvalidFileError(f"attribute '{printable(name, 80)}' is there twice", "E_H5_ALIAS")
            result[name] = self._text(name, *rest)
        return result

    def _dense_attributes(self, body: bytes) -> list[bytes]:
        has_index = body[1] & 1
        layout = ATTR_INFO_MESSAGE if has_index else ATTR_INFO_MESSAGE_NO_MCI
        values = dict(
            zip(layout, struct.unpack_from("<" + "".join(layout.values()), body.ljust(64, b"\xff")), strict=True)
        )
        if values["fractal_heap_address"] == UNDEFINED:
            return []
        heap = self._fractal_heap(values["fractal_heap_address"])
        self._check_btree2(values["name_btree_address"])
        tree = BTreeV2AttrNames(self.source, values["name_btree_address"])
        records = list(tree.iter_records())
        if any(record["flags"] & _SHARED for record in records):
            raise InvalidFileError("an HDF5 attribute is shared between objects", "E_H5_INVALID")
        return [heap.get_data(record["heapid"]) for record in records]

    def _text(self, name: str, datatype: bytes, dataspace: bytes, data: bytes) -> str | tuple[str, ...] | None:
        shape, _ = determine_data_shape(dataspace, 0)
        if shape is None or 0 in shape:
            return ()
        if len(shape) > 1:
            raise _bad_attribute(name, "has more than one dimension")
        count = shape[0] if shape else 1
        kind, size = datatype[0] & 0x0F, struct.unpack_from("<I", datatype, 4)[0]
        if kind == 9 and datatype[1] & 0x0F == 1:
            if size != 16 or count * 16 > len(data):
                raise _bad_attribute(name, "is cut short")
            texts = [self._heap_bytes(*struct.unpack_from("<IQI", data, 16 * index)) for index in range(count)]
        elif kind == 3:
            if size == 0 or count * size > len(data):
                raise _bad_attribute(name, "is cut short")
            texts = [data[size * index : size * (index + 1)].split(b"\0", 1)[0] for index in range(count)]
            if datatype[1] & 0x0F == 2:
                texts = [text.rstrip(b" ") for text in texts]
        else:
            return None
        # Many references to one long string cost nothing until they are decoded.
        if sum(map(len, texts)) > MAX_ATTRIBUTE_BYTES:
            raise LimitError(f"attribute '{name}' has over {MAX_ATTRIBUTE_BYTES} bytes", "E_LIMIT_MEMBER")
        try:
            decoded = tuple(text.decode("utf-8") for text in texts)
        except UnicodeDecodeError as error:
            raise _bad_attribute(name, "is not UTF-8 text") from error
        return decoded if shape else decoded[0]

    def _heap_bytes(self, length: int, address: int, index: int) -> bytes:
        """The variable-length value stored as object `index` of the global heap collection at `address`."""
        if length == 0:
            return b""
        if address not in self._heaps:
            self._heaps[address] = dict(GlobalHeap(self.source, address).objects)
        value = self._heaps[address][index]
        if length > len(value):
            raise InvalidFileError("an HDF5 string is longer than what is stored of it", "E_H5_INVALID")
        return value[:length]

    def _fractal_heap(self, address: int | None) -> FractalHeap:
        if address is None:
            raise InvalidFileError("an HDF5 heap has no address", "E_H5_INVALID")
        (huge_objects,) = struct.unpack_from("<Q", self.source.data, address + 22)
        if huge_objects != UNDEFINED:
            self._check_btree2(huge_objects)
        return FractalHeap(self.source, address)

    def _check_btree2(self, address: int | None) -> None:
        # pyfive computes with numbers whose length grows with the depth that the file states.
        if address is None or struct.unpack_from("<H", self.source.data, address + 12)[0] > _MAX_BTREE2_DEPTH:
            raise InvalidFileError("an HDF5 B-tree is deeper than any can be", "E_H5_INVALID")


def _attribute_name(body: bytes) -> tuple[str, tuple[bytes, bytes, bytes]]:
    """(name, (datatype, dataspace, data)) of an attribute message."""
    version, flags, name_size, type_size, space_size = struct.unpack_from("<BBHHH", body)
    if version not in (1, 2, 3) or (version > 1 and flags & 3):
        raise InvalidFileError("an HDF5 attribute is of an unknown version", "E_H5_INVALID")
    at = 9 if version == 3 else 8
    parts = []
    for size in (name_size, type_size, space_size):
        parts.append(body[at : at + size])
        at += size if version > 1 else (size + 7) // 8 * 8
    if at > len(body):
        raise InvalidFileError("an HDF5 attribute is cut short", "E_H5_INVALID")
    return parts[0].split(b"\0", 1)[0].decode("utf-8"), (parts[1], parts[2], body[at:])


def _hard_link(body: bytes, where: str) -> tuple[int | None, tuple[str, int]]:
    """(creation order, (name, address)) of a link message."""
    if body[1] & 0x08 and body[2] != 0:
        if body[2] == 1 or body[2] >= 64:
            raise _not_hard("", where)
        raise InvalidFileError(f"{where}: a link of unknown kind", "E_H5_INVALID")
    order, (name, address) = DataObjects._decode_link_msg(body, 0)
    return order, (str(name), int(address))


def _not_hard(name: str, where: str) -> InvalidFileError:
    shown = f" '{printable(name, 80)}'" if name else ""
    return InvalidFileError(f"{where}: link{shown} is soft or external; Keras writes neither", "E_H5_LINK")


def _bad_attribute(name: str, problem: str) -> InvalidFileError:
    return InvalidFileError(f"attribute '{printable(name, 80)}' {problem}", "E_H5_ATTRIBUTE")
