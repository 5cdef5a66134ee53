"""A folder of predictions, a file for each partition, and what it takes to go on where a run has stopped.

    OUT/a.parquet            the predictions for a.parquet, published at once
    OUT/_lstmconv/run.json   which bundle and which settings the folder is of
    OUT/_lstmconv/a.parquet.json   the record of a partition: what went in, what came out, its digest; after the output
    OUT/_manifest.json       all records, when everything is done; OUT/_lstmconv is gone then

What starts with _ is passed over by those who read a folder of Parquet files.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from lstmconv_runtime import Error as RuntimeFailure
from lstmconv_runtime import Model

from ..bundles.load import load_bundle
from ..errors import FileAccessError, Hint, InvalidFileError, LstmconvError, UsageError, printable
from ..files import system
from ..files.atomic import publish_bytes
from ..files.growing import growing_file
from ..files.read_bytes import open_regular, read_bytes
from ..version import __version__
from . import score
from .settings import Settings
from .sources import Given

MANIFEST, RECORDS, RUN = "_manifest.json", "_lstmconv", "run.json"
MAX_RECORD_BYTES = 2**28
Record: TypeAlias = dict[str, Any]
Failure: TypeAlias = LstmconvError | RuntimeFailure | OSError | MemoryError
FAILURES = (LstmconvError, RuntimeFailure, OSError, MemoryError)


@dataclass(frozen=True)
class Job:
    """What a process needs to score a partition.

    Attributes:
        base: the folder that all paths start from.
        bundle: its path; digest: of the file, in hex, so that all processes compute with the same.
        folder: where the outputs go; suffix: of what kind they are.
    """

    base: str
    bundle: str
    digest: str
    folder: str
    suffix: str
    settings: Settings

    def place(self, name: str = "") -> Path:
        """Where the folder, or what is called so in it, is from any working directory."""
        return Path(self.base) / self.folder / name

    def output(self, given: Given) -> str:
        """The name of a partition's output."""
        return given.path.stem + self.suffix

    def identity(self) -> Record:
        """What outputs hang on beside the files they are made from, as it is read back."""
        held = {"bundle": self.digest, "suffix": self.suffix, "settings": self.settings.lasting()}
        identity: Record = json.loads(json_bytes(held))
        return identity


def digest_of(path: Path) -> str:
    """The SHA-256 of a regular file, in hex.

    Raises:
        FileAccessError: it cannot be read.
    """
    import hashlib

    descriptor, _ = open_regular(path)
    with open(descriptor, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


_models: dict[tuple[str, str], Model] = {}
_loading = threading.Lock()


def model_of(job: Job) -> Model:
    """The model of a job, loaded once in each process.

    Raises:
        InvalidFileError: the bundle is not that of the run.
    """
    path = Path(job.base) / job.bundle
    key = str(path), job.digest
    with _loading:
        if key not in _models:
            if digest_of(path) != job.digest:
                shown = printable(job.bundle)
                raise InvalidFileError(f"{shown}: is not the bundle that this run began with", "E_CHANGED")
            _models.clear()
            _models[key] = load_bundle(path)
        return _models[key]


def score_partition(job: Job, given: Given, advance: Callable[[int], None] = lambda done: None) -> Record:
    """Scores a partition, publishes its output and then its record, which it gives. An output that is there already,
    from a run that ended before its record, is replaced.

    Raises:
        LstmconvError, InputError: the partition cannot be scored.
    """
    model, name = model_of(job), job.output(given)
    path, before = job.place(name), _state(job, given)
    there = Given(tuple((input_name, os.path.join(job.base, file)) for input_name, file in given.files))
    rows = score.score(
        model, [there], job.settings,
        lambda total: growing_file(path, model.output_names, total, True, job.settings.rows_are, job.settings.prefix()),
        begin=lambda total: advance,
    ).rows  # fmt: skip
    if _state(job, given) != before:
        path.unlink(missing_ok=True)
        raise FileAccessError(f"{given.shown()}: changed while it was being read", "E_CHANGED")
    record = {
        "output": name, "rows": rows, "bytes": path.stat().st_size, "sha256": digest_of(path), "inputs": before,
    }  # fmt: skip
    publish_bytes(json_bytes(record), job.place(RECORDS) / f"{name}.json", True)
    return record


def _state(job: Job, given: Given) -> list[Record]:
    """The files of a partition as they are now: by them a later run knows whether they still are the same."""
    found = []
    for name, path in given.files:
        status = os.stat(os.path.join(job.base, path))
        found.append({"input": name, "path": path, "bytes": status.st_size, "modified": status.st_mtime_ns})
    return found


def json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


# --- the folder -------------------------------------------------------------------------------------------------------


@contextmanager
def opened_folder(job: Job, sources: Sequence[Given], resume: bool, force: bool) -> Iterator[dict[str, Record]]:
    """The folder made ready, and kept from other runs; gives the records of what is done, by the names of outputs.

    Args:
        resume: keep what is done; only what is not, or whose input has changed, is left.
        force: remove what another run has left.

    Raises:
        UsageError: two partitions would have one output.
        FileAccessError: outputs are there already, of this or another run; or another run is at work; or the folder
            cannot be written.
    """
    names = [job.output(given) for given in sources]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two inputs would be written as '{printable(name)}': rename one, or use two folders")
        if name.startswith(("_", ".")):
            raise UsageError(
                f"'{printable(name)}': an output's name must not begin with _ or a point: rename its input"
            )
    folder, records = Path(job.folder), Path(job.folder) / RECORDS
    try:
        records.mkdir(parents=True, exist_ok=True)
        descriptor = system.open_folder(folder) if system.locks_files() else None
    except OSError as error:
        raise FileAccessError(f"cannot write in '{printable(job.folder)}': {error.strerror}", "E_IO") from None
    mine = True
    try:
        if descriptor is not None and not system.lock(descriptor):
            mine = False
            raise FileAccessError(f"'{printable(job.folder)}': another run is writing here", "E_LOCKED")
        done = _records(folder, ignore=force and not resume)
        known = (records / RUN).exists() or (folder / MANIFEST).exists()
        if force and not resume:
            for name in done:
                (folder / name).unlink(missing_ok=True)
            shutil.rmtree(records)
            records.mkdir()
            (folder / MANIFEST).unlink(missing_ok=True)
            done, known = {}, False
        if known and (done or resume):
            _refuse_other(job, folder, resume)
        else:
            there = [name for name in names if os.path.lexists(folder / name)]
            if there and not force:
                raise FileAccessError(
                    f"'{printable(str(folder / there[0]))}' exists", "E_EXISTS", Hint("{} replaces it", "force")
                )
            publish_bytes(json_bytes(job.identity()), records / RUN, True)
        yield {name: record for name, record in done.items() if resume}
    finally:
        if descriptor is not None:
            os.close(descriptor)
        if mine:
            with suppress(OSError):  # where nothing came of it
                records.rmdir()
                folder.rmdir()


def _refuse_other(job: Job, folder: Path, resume: bool) -> None:
    shown = printable(str(folder))
    if not resume:
        raise FileAccessError(
            f"'{shown}' holds a run already: --resume does what is left, --force starts anew", "E_EXISTS"
        )
    manifest, run = folder / MANIFEST, folder / RECORDS / RUN
    there = _read_json(manifest)["run"] if manifest.exists() else _read_json(run)
    if there != job.identity():
        what = "bundle" if there.get("bundle") != job.digest else "settings"
        raise UsageError(f"'{shown}' holds a run with another {what}: give another folder, or --force without --resume")
    if not run.exists():
        publish_bytes(json_bytes(job.identity()), run, True)


def _records(folder: Path, ignore: bool) -> dict[str, Record]:
    """What is done, by the names of outputs.

    Args:
        ignore: a damaged record, and all with it.

    Raises:
        InvalidFileError: a record is damaged.
    """
    try:
        return _read_records(folder)
    except InvalidFileError:
        if ignore:
            return {}
        raise


def _read_records(folder: Path) -> dict[str, Record]:
    found: dict[str, Record] = {}
    if (folder / MANIFEST).exists():
        found.update((record["output"], record) for record in _read_json(folder / MANIFEST)["partitions"])
    for path in sorted((folder / RECORDS).glob("*.json")):
        if path.name != RUN:
            record = _read_json(path)
            found[record["output"]] = record
    for name, record in found.items():
        if type(record.get("rows")) is not int or not isinstance(record.get("inputs"), list):
            raise _damaged(folder / RECORDS)
        if Path(name).name != name or name.startswith(("_", ".")):
            raise InvalidFileError(f"'{printable(name)}' in a record is no name of an output", "E_MANIFEST")
    return found


def _read_json(path: Path) -> Any:
    try:
        value = json.loads(read_bytes(path, MAX_RECORD_BYTES))
        records = value["partitions"] if path.name == MANIFEST else [value] if path.name != RUN else []
        run = value["run"] if path.name == MANIFEST else value
        if not isinstance(run, dict) or not all(isinstance(record["output"], str) for record in records):
            raise _damaged(path)
        return value
    except (ValueError, TypeError, KeyError, RecursionError):
        raise _damaged(path) from None


def _damaged(path: Path) -> InvalidFileError:
    return InvalidFileError(f"{printable(str(path))}: is damaged; --force without --resume starts anew", "E_MANIFEST")


def is_done(job: Job, given: Given, done: dict[str, Record]) -> bool:
    """Whether the output of a partition is there, whole, and made from the files as they are."""
    record = done.get(job.output(given))
    if record is None:
        return False
    path = job.place(job.output(given))
    try:
        now = [(Path(one["path"]).name, one["input"], one["bytes"], one["modified"]) for one in _state(job, given)]
        then = [(Path(one["path"]).name, one["input"], one["bytes"], one["modified"]) for one in record["inputs"]]
        return now == then and path.stat().st_size == record["bytes"] and digest_of(path) == record["sha256"]
    except (OSError, KeyError, TypeError, LstmconvError):
        return False


def finish(job: Job, records: dict[str, Record]) -> None:
    """Publishes the manifest, and removes what it stands for."""
    folder = Path(job.folder)
    manifest = {
        "lstmconv": __version__, "run": job.identity(), "rows": sum(record["rows"] for record in records.values()),
        "partitions": [records[name] for name in sorted(records)],
    }  # fmt: skip
    publish_bytes(json_bytes(manifest), folder / MANIFEST, True)
    shutil.rmtree(folder / RECORDS, ignore_errors=True)
