"""Files of ten releases of Keras compute what those releases computed."""

from __future__ import annotations

from typing import Any

import pytest
from legacy_vectors import ENTRIES, IDS, REFUSED, apart, architecture, arrays, model_path
from lstmconv.errors import LstmconvError
from lstmconv.exporting import bundle_of, convert
from lstmconv.reading import read_keras_file
from lstmconv_runtime import Model


@pytest.mark.parametrize("entry", ENTRIES, ids=IDS)
def test_agrees_with_the_release_that_wrote_it(entry: dict[str, Any]) -> None:
    if entry["case"] in REFUSED:
        with pytest.raises(LstmconvError) as caught:
            convert(read_keras_file(model_path(entry)), architecture=architecture(entry))
        assert caught.value.code == REFUSED[entry["case"]]
        assert "\n" not in str(caught.value)
        return
    inputs, wanted = arrays(entry)
    model = Model(bundle_of(convert(read_keras_file(model_path(entry)), architecture=architecture(entry))))
    assert apart(model.predict(inputs if len(inputs) > 1 else inputs[0]), wanted) < 1e-5


def test_the_vectors_span_the_ages() -> None:
    """Nine releases at least, and every kind of file and model that old files hold."""
    assert len({entry["keras"] for entry in ENTRIES}) >= 9
    assert {entry["keras"][0] for entry in ENTRIES} == {"1", "2", "3"}
    assert {entry["kind"] for entry in ENTRIES} == {"legacy-h5", "legacy-weights-h5", "weights-h5", "keras-zip"}
    assert {"lstm", "gru", "simple_rnn", "bidirectional", "masking", "embedding", "initial_state", "nested"} <= {
        entry["case"] for entry in ENTRIES
    }
