"""Windows of rows that come a few at a time, beside a loop over the rows of each group."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from lstmconv.errors import UsageError
from lstmconv.scoring.windows import Cut, Cutter, Groups, Order, WholeGroups, Windows, gathered
from lstmconv_runtime.format.graph import Array


class Made(NamedTuple):
    number: int  # of the row it ends at
    rows: list[float]


def cut_up(cutter: Cutter, codes: Array, x: Array, parts: list[int]) -> list[Made]:
    """The windows in the order in which they come, from rows that are added in parts."""

    def found(cut: Cut) -> list[Made]:
        if not len(cut.ends):
            return []
        steps = int(cut.lengths.max())
        made = gathered(cut, "x", slice(None), steps, -1.0)[:, :, 0]
        return [
            Made(int(n), row[steps - k :].tolist()) for n, k, row in zip(cut.numbers, cut.lengths, made, strict=True)
        ]

    done, start = [], 0
    for part in parts:
        done += found(cutter.add(codes[start : start + part], {"x": x[start : start + part, None]}))
        start += part
        assert set(cutter.needed()) <= set(range(start))
    return done + found(cutter.finish())


def windows_by_loop(codes: Array, x: Array, window: int, stride: int) -> list[Made]:
    full, short = [], []
    for code in range(int(codes.max(initial=-1)) + 1):
        rows = np.flatnonzero(codes == code)
        for end in range(window, len(rows) + 1, stride):
            full.append(Made(int(rows[end - 1]), x[rows[end - window : end]].tolist()))
        if 0 < len(rows) < window:
            short.append(Made(int(rows[-1]), x[rows].tolist()))
    return sorted(full) + sorted(short)


@pytest.mark.parametrize("seed", range(40))
def test_windows_are_those_of_each_group(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows, groups = int(random.integers(0, 200)), int(random.integers(1, 30))
    window, stride = int(random.integers(1, 12)), int(random.integers(1, 15))
    seen = Groups().codes(random.integers(0, groups, rows).tolist())
    if seed % 3 == 0:
        seen = np.sort(seen)
    x = random.standard_normal(rows)
    cuts = np.sort(random.integers(0, rows + 1, random.integers(0, 20)))
    parts = np.diff(np.concatenate([[0], cuts, [rows]])).tolist()
    assert cut_up(Windows(window, stride), seen, x, parts) == windows_by_loop(seen, x, window, stride)


@pytest.mark.parametrize("seed", range(40))
def test_whole_groups(seed: int) -> None:
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 20, random.integers(0, 12))
    groups = Groups()
    codes = groups.codes([*np.repeat(np.arange(len(sizes)), sizes).tolist()])
    rows = len(codes)
    x = random.standard_normal(rows)
    cuts = np.sort(random.integers(0, rows + 1, random.integers(0, 20)))
    parts = np.diff(np.concatenate([[0], cuts, [rows]])).tolist()
    ends = np.cumsum(sizes)
    wanted = [Made(int(end - 1), x[end - size : end].tolist()) for end, size in zip(ends, sizes, strict=True)]
    assert cut_up(WholeGroups(groups), codes, x, parts) == wanted


@pytest.mark.parametrize("parts", [[6], [3, 3], [1] * 6, [4, 2]])
@pytest.mark.parametrize(("keys", "row"), [("aabbab", 5), ("aabaaa", 4), ("abcdea", 6)])
def test_groups_that_do_not_stand_together(keys: str, row: int, parts: list[int]) -> None:
    groups = Groups()
    with pytest.raises(UsageError, match=rf"group \w: its rows do not stand together \(row {row}\)"):
        cut_up(WholeGroups(groups), groups.codes(list(keys)), np.zeros(6), parts)


@pytest.mark.parametrize("parts", [[6], [3, 3], [1] * 6])
@pytest.mark.parametrize(
    ("keys", "times", "row"),
    [("aaaaaa", [1, 2, 3, 3, 2, 9], 5), ("ababab", [1, 9, 2, 8, 3, 7], 4), ("abcabc", [1, 2, 3, 1, 2, 3], None)],
)
def test_the_order_of_time(keys: str, times: list[int], row: int | None, parts: list[int]) -> None:
    groups = Groups()
    order, start = Order(groups, "t"), 0
    codes = groups.codes(list(keys))

    def check() -> None:
        nonlocal start
        for part in parts:
            order.check(codes[start : start + part], np.array(times)[start : start + part])
            start += part

    if row is None:
        check()
        assert start == 6
        return
    with pytest.raises(UsageError, match=rf"group {keys[row - 1]}: its rows are not in the order of 't' \(row {row}\)"):
        check()


def test_what_is_carried_does_not_grow_with_the_rows() -> None:
    cutter, random = Windows(10, 3), np.random.default_rng(0)
    for _ in range(50):
        cutter.add(random.integers(0, 20, 1000), {"x": np.zeros((1000, 3), "float32")})
    assert cutter.held() == 20 * 9 * 3 * 4
    assert len(cutter.needed()) == 0
