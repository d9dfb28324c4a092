"""How a segment opens: what it is for, and where its cues end."""

from __future__ import annotations

import pytest

from rbic_hf import cues
from rbic_hf.cues import opening


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("Calculate the total cost.", cues.HEADS),
        ("**Case 2**", cues.HEADS | cues.CASES),
        ("### Result", cues.HEADS),
        ("Step 3: x = 4", cues.HEADS),
        ("1. **Find the speed:**", cues.HEADS),
        ("计算总价。", cues.HEADS),
        ("情况二：x < 0", cues.HEADS | cues.CASES),
        ("Recall that 7 is prime.", 0),
        ("solve(x)", 0),  # a call
        ("draw((0,0)--(1,1));", 0),
        ("Therefore, x = 4.", cues.FOLLOWS | cues.OPENS),
        ("**Real part**: 9 - 3 = 6", cues.OPENS),
        ("所以x = 4", cues.FOLLOWS | cues.OPENS),
        ("故事书有4本", 0),
        ("设备有4台", 0),
        ("Sofa prices rise.", 0),
        ("Let me see.", cues.REMARKS),
        ("Let x be 4", cues.OPENS),
        ("I should be careful", cues.REMARKS),
        ("I = 5", 0),
        ("Wait, is it?", cues.BRANCHES | cues.REMARKS),
        ("No, that's wrong", cues.BRANCHES | cues.RETRACTS),
        ("None is left", 0),
        ("让我验证一下", cues.BRANCHES | cues.VERIFIES),
        ("不对，应该是4", cues.BRANCHES | cues.RETRACTS),
        ("The robe takes four bolts.", 0),
        ("", 0),
        ("   ", 0),
    ],
)
def test_the_first_cue_says_what_a_segment_is_for(text: str, first: int) -> None:
    assert opening(text).first == first


@pytest.mark.parametrize(
    ("text", "core"),
    [
        ("So x = 4", "x = 4"),
        ("Wait, so then, x = 4", "x = 4"),
        ("2. Therefore x = 4", "x = 4"),
        ("- **Thus** x = 4", "** x = 4"),
        ("嗯，所以 x = 4", "x = 4"),
        ("x = 4", "x = 4"),
    ],
)
def test_what_comes_after_the_cues_is_the_core(text: str, core: str) -> None:
    assert text[opening(text).core :] == core


def test_cues_add_up() -> None:
    flags = opening("Wait, so therefore x = 4").flags
    assert flags & cues.BRANCHES and flags & cues.FOLLOWS


def test_phrases_of_one_kind_act_alike() -> None:
    conclusions = ["So", "Therefore", "Thus", "Hence", "Consequently", "Then", "As a result"]
    kinds = {opening(f"{word}, x = 4").flags for word in conclusions}
    kinds |= {opening(f"{word}x = 4").flags for word in ("所以", "因此", "从而", "于是", "故")}
    assert kinds == {cues.FOLLOWS | cues.OPENS}
