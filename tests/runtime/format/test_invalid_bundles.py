"""Every file of tests/vectors/invalid is refused with exactly the code FORMAT.md gives its rule."""

from __future__ import annotations

import json

import numpy as np
import pytest
from lstmconv_runtime import BundleError, VersionError, load
from lstmconv_runtime.format import bundle as bundle_module
from lstmconv_runtime.format.container import checked_header, digest, metadata_of
from lstmconv_runtime.format.tensors import read_tensors
from paths import VECTORS

FOLDER = VECTORS / "invalid"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text())


def test_the_valid_control_loads() -> None:
    model = load(FOLDER / "valid.safetensors")
    assert model.verify().ok
    assert np.isfinite(model.predict(np.ones((2, 3, 1)))).all()


@pytest.mark.parametrize("row", MANIFEST, ids=lambda row: row["file"].removesuffix(".safetensors"))
def test_invalid_file(row: dict[str, str]) -> None:
    data = (FOLDER / row["file"]).read_bytes()
    assert data != (FOLDER / "valid.safetensors").read_bytes()
    with pytest.raises(BundleError) as caught:
        load(data)
    assert caught.value.code == row["code"]
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) <= 500
    assert isinstance(caught.value, VersionError) or not row["file"].startswith("N05")


def test_manifest_and_folder_agree() -> None:
    files = {path.name for path in FOLDER.glob("*.safetensors")} - {"valid.safetensors"}
    assert files == {row["file"] for row in MANIFEST}
    assert {path.name for path in FOLDER.iterdir() if path.stat().st_size > 64_000} == {"N06-10001-nodes.safetensors"}


@pytest.mark.parametrize("row", [row for row in MANIFEST if "N05" <= row["rule"] <= "N10"], ids=lambda row: row["file"])
def test_header_and_digest_are_right_where_the_fault_lies_behind_them(row: dict[str, str]) -> None:
    data = (FOLDER / row["file"]).read_bytes()
    if row["file"] in ("N08-bfloat16.safetensors", "N08-float8.safetensors"):  # of which NumPy makes no array
        return
    header = checked_header(data)
    metadata = metadata_of(header)
    rest = {key: value for key, value in metadata.items() if key != "digest"}
    assert (digest(rest, read_tensors(data, header)) == metadata["digest"]) == (row["rule"] != "N10")


def test_every_rule_has_a_file() -> None:
    lines = (bundle_module.__doc__ or "").splitlines()
    rules = {line[:3]: line.split()[-1] for line in lines if line.startswith("N")}
    assert {(row["rule"], row["code"]) for row in MANIFEST} >= set(rules.items())
    assert {row["rule"] for row in MANIFEST} == set(rules)


def test_a_newer_minor_version_of_known_contents_loads() -> None:
    from dataclasses import replace

    bundle = load(FOLDER / "valid.safetensors").bundle
    data = bundle_module.to_bytes(replace(bundle, format_version="1.7"))
    assert load(data).verify().ok
