"""The folder that `model.save(path, zipped=False)` of Keras 3 writes: what an archive holds, as files.

Each file is read once, by its name in the opened folder, so that a folder that is put in its place meanwhile, or a
symbolic link out of it, leads nowhere else. What else lies in the folder is not looked at, and Keras does not either.
"""

from __future__ import annotations

import hashlib
import os

from ..errors import FileAccessError, InvalidFileError, LimitError, printable
from ..files.read_bytes import read_bytes
from ..files.system import open_folder
from .keras_archive import CONFIG, MAX_WEIGHTS_BYTES, METADATA, WEIGHTS, Archive, archive_of, refuse_other_weights
from .strict_json import MAX_JSON_BYTES

MEMBERS = (CONFIG, METADATA, WEIGHTS)


def is_model_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is a folder with a config in it at `path`."""
    return os.path.isdir(path) and os.path.lexists(os.path.join(os.fsdecode(path), CONFIG))


def read_folder(path: str | os.PathLike[str], shown: str) -> tuple[Archive, str, int]:
    """The model in the folder at `path`, the joint digest of its files, and their size.

    Raises FileAccessError, InvalidFileError, UnsupportedError, LimitError.
    """
    try:
        folder = open_folder(path)
    except OSError as error:
        raise FileAccessError(f"{shown}: cannot be opened: {error.strerror}", "E_IO") from error
    try:
        names = set(os.listdir(folder))
        refuse_other_weights(names, shown)
        limits = {CONFIG: MAX_JSON_BYTES, METADATA: MAX_JSON_BYTES, WEIGHTS: MAX_WEIGHTS_BYTES}
        for name in (CONFIG, WEIGHTS):
            if name not in names:
                raise InvalidFileError(f"{shown}: has no {name}", "E_FOLDER_MISSING")
        data = {name: read_bytes(name, limit, folder) for name, limit in limits.items() if name in names}
    except OSError as error:
        raise FileAccessError(f"{shown}: cannot be read: {error.strerror}", "E_IO") from error
    except (FileAccessError, LimitError) as error:
        raise type(error)(f"{shown}: {error}", error.code) from error
    finally:
        os.close(folder)
    digest = hashlib.sha256()
    for content in data.values():
        digest.update(hashlib.sha256(content).digest())
    archive = archive_of(data[CONFIG], data.get(METADATA), memoryview(data[WEIGHTS]), shown)
    return archive, digest.hexdigest(), sum(map(len, data.values()))


def shown_name(path: str | os.PathLike[str]) -> str:
    """What messages call a folder: its name, also where the path ends in a slash or is "."."""
    return printable(os.path.basename(os.path.abspath(os.fsdecode(path))), 80)
