"""Gates on a page: bounded, and what is shown is what the trace says."""

from __future__ import annotations

import numpy as np
from lstmconv.report import gates
from lstmconv.report.gates import MOST_STEPS, MOST_UNITS, node_gates, traced
from lstmconv_runtime import Gates, load
from small_bundles import bundle_bytes, lstm_graph


def test_a_small_node_is_shown_whole() -> None:
    model = load(bundle_bytes(lstm_graph(layers=2)))
    x = np.random.default_rng(0).normal(size=(3, 6, 2)).astype("float32")
    found = traced(model, {"x": x}, 1, 3, "x.npy")
    assert [node.node for node in found.nodes] == ["lstm", "lstm.1"]
    assert (found.row, found.rows, found.recurrent) == (1, 3, 2)
    np.testing.assert_array_equal(found.inputs["x"], x[1])
    trace = model.trace(x)
    for node in found.nodes:
        assert [one.gate for one in node.maps] == ["i", "f", "o", "c_tilde", "c", "h"]
        assert (node.steps, node.units, node.shown_steps) == (6, 4, (0, 1, 2, 3, 4, 5))
        for one in node.maps:
            held = trace[node.node][one.gate][1]
            np.testing.assert_allclose(one.values, held, atol=1e-6)
            np.testing.assert_allclose(one.mean, held.mean(axis=1), atol=1e-6)
            np.testing.assert_allclose(one.least, held.min(axis=1), atol=1e-6)
            np.testing.assert_allclose(one.most, held.max(axis=1), atol=1e-6)
            assert one.low <= held.min() and held.max() <= one.high


def test_a_large_node_is_thinned_out() -> None:
    values = np.random.default_rng(0).random((1, 1001, 300))
    node = node_gates("n", Gates(f=values, output=values[:, -1]), 0, 1)
    assert len(node.shown_steps) <= MOST_STEPS and len(node.shown_units) <= MOST_UNITS
    assert node.shown_steps[:2] == (0, 6) and node.shown_units[:2] == (0, 3)
    (one,) = node.maps
    np.testing.assert_array_equal(one.values, values[0, ::6, ::3])
    np.testing.assert_allclose(one.mean, values[0, ::6].mean(axis=1))  # of all units
    assert (one.low, one.high) == (0, 1)


def test_scales_go_as_far_as_the_numbers() -> None:
    small = np.array([[[-0.02, 0.01], [0.005, 0.0]]])
    (one,) = node_gates("n", Gates(c=small), 0, 1).maps
    assert (one.low, one.high) == (-0.02, 0.02)
    (one,) = node_gates("n", Gates(c=np.zeros((1, 2, 2))), 0, 1).maps
    assert (one.low, one.high) == (-1, 1)


def test_what_is_not_a_number() -> None:
    values = np.array([[[np.nan, np.inf], [1.0, np.nan]]])
    (one,) = node_gates("n", Gates(c=values), 0, 1).maps
    np.testing.assert_array_equal(one.mean, [np.nan, 1.0])
    np.testing.assert_array_equal(one.least, [np.nan, 1.0])


def test_places_of_a_convolution_are_units() -> None:
    values = np.arange(24.0).reshape(1, 2, 3, 4)
    node = node_gates("n", Gates(h=values), 0, 1)
    assert node.space and (node.steps, node.units) == (2, 12)
    np.testing.assert_array_equal(node.maps[0].values, values[0].reshape(2, 12))


def test_steps_that_are_rows_of_the_batch() -> None:
    """Inside TimeDistributed: the first of a row's own."""
    values = np.arange(12.0).reshape(6, 2, 1)
    np.testing.assert_array_equal(node_gates("n", Gates(h=values), 1, 2).maps[0].values, values[3])


def test_nodes_are_bounded() -> None:
    model = load(bundle_bytes(lstm_graph(units=2, layers=gates.MOST_NODES + 2)))
    found = traced(model, {"x": np.zeros((1, 3, 2), "float32")}, 0, 1, "x")
    assert (len(found.nodes), found.recurrent) == (gates.MOST_NODES, gates.MOST_NODES + 2)
