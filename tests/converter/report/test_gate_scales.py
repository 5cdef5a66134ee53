"""The scales that gates are drawn on."""

from __future__ import annotations

import numpy as np
from lstmconv.report.gate_scales import color_limits


def test_scales() -> None:
    small = np.array([0.2, 0.9])
    assert color_limits("f", small) == (0, 1)
    assert color_limits("h", small) == (-1, 1)
    assert color_limits("c", np.array([-3.5, 2])) == (-3.5, 3.5)
    assert color_limits("f", np.array([-0.5, 0.5])) == (-1, 1)  # an activation that is no sigmoid
    assert color_limits("f", np.array([np.nan, np.inf])) == (0, 1)
    assert color_limits("c", np.array([np.nan])) == (-1, 1)
