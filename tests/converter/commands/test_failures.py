"""Exit codes, lines, and output paths: the parts of the command line that need no process of their own."""

from __future__ import annotations

from pathlib import Path

import lstmconv
import pytest
from lstmconv import errors
from lstmconv.commands.failures import failure_of
from lstmconv.errors import FileAccessError, UsageError
from lstmconv.files.output_paths import bundle_path, check_output
from lstmconv.files.standard_streams import MAX_LINE, one_line
from lstmconv.files.suffixes import ARCHIVE, ARRAYS, BUNDLE, TRACE
from lstmconv.files.text_table import shape_text, text_table
from lstmconv_runtime import BundleError, InputError, StreamError, VersionError
from paths import SINE

ANY = ("",)  # names without a suffix


@pytest.mark.parametrize(
    ("error", "exit_code", "line"),
    [
        (errors.UnsupportedError("m"), 3, "m [E_UNSUPPORTED]"),
        (errors.InvalidFileError("m", "E_GRAPH"), 4, "m [E_GRAPH]"),
        (errors.InvalidFileError("m", "E_BUG"), 70, "m [E_BUG]"),
        (errors.LimitError("m"), 5, "m [E_LIMIT]"),
        (errors.FileAccessError("m"), 6, "m [E_IO]"),
        (errors.MissingPackageError("m"), 2, "m [E_MISSING_PACKAGE]"),
        (errors.UsageError("m"), 2, "m [E_USAGE]"),
        (errors.LstmconvError("m"), 70, "m [E_BUG]"),
        (BundleError("m", "E_BUNDLE_DIGEST"), 4, "m [E_BUNDLE_DIGEST]"),
        (VersionError("m"), 3, "m [E_BUNDLE_VERSION]"),
        (InputError("m"), 2, "m [E_INPUT]"),
        (StreamError("m"), 3, "m [E_STREAM]"),
        (FileNotFoundError(2, "No such file", "a\nb"), 6, r"'a\nb': No such file [E_IO]"),
        (OSError("odd"), 6, "odd [E_IO]"),
        (MemoryError(), 5, "out of memory [E_LIMIT_MEMORY]"),
        (MemoryError("Unable to allocate"), 5, "out of memory: Unable to allocate [E_LIMIT_MEMORY]"),
    ],
)
def test_each_exception_has_its_exit_code(error: Exception, exit_code: int, line: str) -> None:
    assert failure_of(error) == (exit_code, line)


def test_the_unexpected_says_where() -> None:
    try:
        {"other": 1}["key"]
    except KeyError as error:
        failure = failure_of(error)
    assert failure.exit_code == 70
    assert failure.line.startswith("unexpected KeyError in test_the_unexpected_says_where, line ")
    assert failure_of(RecursionError("deep")).exit_code == 70


def test_one_line_is_printable_ascii() -> None:
    line = one_line("a\nb\r\x1b[0m ä … \udc80 \u202e" + "x" * 5000)
    assert line.startswith(r"a\nb\r\x1b[0m \xe4 ... \udc80 \u202e")
    assert line.isascii()
    assert line.isprintable()
    assert len(line) == MAX_LINE


@pytest.mark.parametrize(
    ("model", "bundle"),
    [("a/m.keras", "a/m.safetensors"), ("m.H5", "m.safetensors"), ("m.v2", "m.v2.safetensors")],
)
def test_where_a_bundle_goes_by_default(model: str, bundle: str) -> None:
    assert bundle_path(Path(model)) == Path(bundle)


def test_outputs_that_are_refused(tmp_path: Path) -> None:
    file, link, device, hard = (tmp_path / name for name in ("file", "link", "device", "hard"))
    file.write_text("")
    link.symlink_to(file)
    hard.hardlink_to(file)
    device.symlink_to("/dev/null")
    (tmp_path / "dangling").symlink_to(tmp_path / "absent")
    check_output(tmp_path / "new", ANY, False, file)
    check_output(file, ANY, True)
    check_output(link, ANY, True)
    check_output(tmp_path / "dangling", ANY, True)
    for path in (file, link, tmp_path / "dangling"):
        with pytest.raises(FileAccessError, match="force=True replaces it"):
            check_output(path, ANY, False)
    for path in (file, link, hard):
        with pytest.raises(UsageError, match="named twice"):
            check_output(path, ANY, True, file)
    with pytest.raises(UsageError, match="named twice"):
        check_output(tmp_path / "new", ANY, True, tmp_path / "new")
    for path in (device, tmp_path):
        for force in (False, True):
            with pytest.raises(FileAccessError, match="not a regular file"):
                check_output(path, ANY, force)


@pytest.mark.parametrize("path", ["/dev/null", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/../dev/full"])
def test_the_system_is_not_replaced(path: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    for force in (False, True):
        with pytest.raises(FileAccessError, match="not a regular file"):
            check_output(Path(path), ANY, force)


def test_tables_are_aligned() -> None:
    assert text_table([("a", "bb"), ("ccc", "d")]) == ["a    bb", "ccc  d"]
    assert shape_text((None, 5)) == "(any, 5)"


@pytest.mark.parametrize(
    ("name", "suffixes"),
    [
        ("m.keras", BUNDLE), ("m.h5", BUNDLE), ("m", BUNDLE), ("-", BUNDLE), ("m.safetensors.tmp", BUNDLE),
        ("n.h5", ARCHIVE), ("n.safetensors", ARCHIVE), ("n.KERAS", ARCHIVE), ("-", ARCHIVE), (".keras", ARCHIVE),
        ("y.txt", ARRAYS), ("-", ARRAYS), ("t.csv", TRACE),
    ],
)  # fmt: skip
def test_names_that_lie_are_refused(tmp_path: Path, name: str, suffixes: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=f"the name must end in {suffixes[0]}") as refused:
        check_output(tmp_path / name, suffixes, True)
    assert refused.value.code == "E_SUFFIX"


def test_the_functions_refuse_names_that_lie_too(tmp_path: Path) -> None:
    for name in ("x.keras", "x.h5", "x", "-"):
        with pytest.raises(UsageError, match=r"must end in \.safetensors"):
            lstmconv.export(SINE, tmp_path / name)
    for name in ("x.h5", "x.KERAS", "x"):
        with pytest.raises(UsageError, match=r"must end in \.keras"):
            lstmconv.upgrade(SINE, str(tmp_path / name))
    assert not list(tmp_path.iterdir())
