"""The picture of the gates: one labelled map per gate, on a scale that can be compared."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from lstmconv.errors import LimitError, MissingPackageError, UnsupportedError, UsageError
from lstmconv.report.gate_plot import SUFFIXES, gate_figure, require_matplotlib, save_figure
from lstmconv_runtime import Gates

pytest.importorskip("matplotlib")
LSTM = ("i", "f", "o", "c_tilde", "c", "h")


def gates(names: tuple[str, ...], *shape: int) -> Gates:
    rng = np.random.default_rng(0)
    made = {name: rng.random((2, *shape)) for name in names}
    return Gates(made, output=np.zeros(2))


def maps(figure: Any) -> list[Any]:
    """The axes that hold a heat map."""
    return [axes for axes in figure.axes if axes.get_images()]


def test_every_gate_of_every_recurrent_node_has_a_labelled_map() -> None:
    lstm = gates(LSTM, 5, 4)
    trace = {"x": np.zeros((2, 5, 1)), "lstm": lstm, "gru": gates(("z", "r", "h_tilde", "h"), 5, 3)}
    figure = gate_figure(trace, row=1)
    drawn = maps(figure)
    assert [axes.get_title() for axes in drawn[:3]] == [
        "lstm: i, input gate",
        "lstm: f, forget gate",
        "lstm: o, output gate",
    ]
    assert len(drawn) == 10
    for axes in drawn:
        assert (axes.get_xlabel(), axes.get_ylabel()) == ("time step", "unit")
        (image,) = axes.get_images()
        assert image.colorbar is not None
    np.testing.assert_array_equal(drawn[0].get_images()[0].get_array(), lstm["i"][1].T)
    assert drawn[0].get_images()[0].get_clim() == (0, 1)
    assert drawn[3].get_images()[0].get_clim() == (-1, 1)
    empty = [axes for axes in figure.axes if not axes.axison]
    assert len(empty) == 2


def test_a_convolution_and_what_is_not_a_number() -> None:
    trace = {"conv": gates(LSTM, 3, 2, 2, 4)}
    trace["conv"]["c"][0, 0] = np.nan
    (image,) = maps(gate_figure(trace))[0].get_images()
    assert image.get_array().shape == (16, 3)
    assert maps(gate_figure(trace))[0].get_ylabel() == "place and filter"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_names_are_text_and_not_formulas(suffix: str) -> None:
    figure = gate_figure({"$\\frac{$ \x1b": gates(("h",), 5, 2)})
    file = io.BytesIO()
    save_figure(figure, file, suffix)
    start = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert file.getvalue().startswith(start)


def test_what_cannot_be_drawn() -> None:
    with pytest.raises(UnsupportedError, match="no recurrent node"):
        gate_figure({"dense": np.zeros((2, 1))})
    for row in (-1, 2):
        with pytest.raises(UsageError, match=f"no row {row}"):
            gate_figure({"lstm": gates(LSTM, 5, 4)}, row)
    with pytest.raises(LimitError):
        gate_figure({f"lstm{k}": gates(("h",), 1, 1) for k in range(51)})


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackageError, match=r"lstmconv\[plot\]"):
        require_matplotlib()
