"""Names for what people pass as a Keras model and is none."""

from __future__ import annotations

_BY_START: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a git-lfs pointer: fetch the file itself with `git lfs pull`"),
    (b"\x93NUMPY", "a NumPy .npy array"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x1f\x8b", "gzip data: unpack it first"),
    (b"BZh", "bzip2 data: unpack it first"),
    (b"\xfd7zXZ", "xz data: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"GGUF", "a GGUF model"),
    (b"CDF", "a NetCDF file"),
    (b"%PDF", "a PDF document"),
    (b"#!", "a script"),
)


JSON_TEXT = "JSON text, as an architecture is"


def looks_like(data: memoryview) -> str:
    """What the file that starts with `data`, neither zip nor HDF5, looks like: a phrase for "looks like …"."""
    head = bytes(data[:512])
    if not data:
        return "an empty file"
    for start, what in _BY_START:
        if head.startswith(start):
            return what
    if head[8:9] == b"{" and b'"lstmconv"' in head:
        return "a bundle of lstmconv, which is the result of an export: run, inspect, verify and doctor take it"
    if head[8:10] == b'{"' and int.from_bytes(head[:8], "little") < 2**32:
        return "a safetensors file, which holds weights without their layers"
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model"
    if head[0] == 0x80 and len(head) > 1 and head[1] in (2, 3, 4, 5):
        return "a Python pickle, which is never loaded"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        return "a web page: the download went wrong"
    if text.startswith((b"{", b"[")):
        return JSON_TEXT
    if _is_saved_model(head):
        return "the saved_model.pb of a TensorFlow SavedModel: save the model as .keras or .h5"
    if head[0] == 0x08 and len(head) > 2 and head[1] < 32 and head[2] in (0x12, 0x1A, 0x22, 0x3A):
        return "an ONNX model"
    if not head.strip(b"\0"):
        return "zeros: the download or the copy went wrong"
    return "no kind of model file"


def _is_saved_model(head: bytes) -> bool:
    """Whether a protocol buffer starts as a SavedModel: version 1, then a graph that starts with its MetaInfoDef.

    An ONNX model starts with a number too, and may go on with the name of its producer under the same tag.
    """
    if not head.startswith(b"\x08\x01\x12"):
        return False
    body = head[3:].lstrip(bytes(range(0x80, 0x100)))[1:]  # after the length, whose last byte alone is below 0x80
    return body[:1] == b"\x0a"


def zip_looks_like(names: tuple[bytes, ...]) -> str | None:
    """What the archive with the members `names` is, when it is a known kind of file other than a Keras model."""
    tails = {name.rsplit(b"/", 1)[-1] for name in names}
    if b"data.pkl" in tails or b"constants.pkl" in tails:
        return "a PyTorch model"
    if b"saved_model.pb" in tails:
        return "a zipped TensorFlow SavedModel"
    if names and all(name.endswith(b".npy") for name in names):
        return "a NumPy .npz file"
    if any(name.endswith((b".keras", b".h5", b".hdf5")) for name in names if name != b"model.weights.h5"):
        return "a zip archive around a model: unpack it first"
    return None
