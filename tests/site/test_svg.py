"""An SVG badge: well-formed and harmless whatever it says, small, and as wide as shields.io draws it."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.site.svg import draw, measure

SVG = "{http://www.w3.org/2000/svg}"
# XML has no place for most control characters, and badges hold none.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=60)


@given(texts, texts, st.sampled_from(["blue", "lightgrey"]))
def test_a_badge_says_its_label_and_message_and_holds_nothing_else(label: str, message: str, color: str) -> None:
    root = ET.fromstring(draw({"label": label, "message": message, "color": color}))
    told = f"{label}: {message}" if label else message
    assert root.get("aria-label") == (root.findtext(f"{SVG}title") or "") == told
    texts_shown = [label, label, message, message] if label else [message, message]
    assert [element.text or "" for element in root.iter(f"{SVG}text")] == texts_shown
    known = {"svg", "title", "clipPath", "linearGradient", "stop", "g", "path", "rect", "text"}
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= known
    assert int(root.get("width", "")) == (measure(label) + 10 if label else 0) + measure(message) + 10


@pytest.mark.parametrize(
    ("text", "pixels"),
    # What the npm package badge-maker 5 gives them.
    [
        ("pip*/uv/poetry/pdm (30d)", 147),
        ("pip (7d)", 45),
        ("linux (30d)", 61),
        ("1.2k", 25),
        ("collecting 12/30d", 95),
        ("1.2k to 2026-11-10", 109),
    ],
)
def test_our_labels_and_messages_are_as_wide_as_on_shields_io(text: str, pixels: int) -> None:
    assert abs(measure(text) - pixels) <= 3


def test_the_longest_badge_weighs_less_than_two_kilobytes() -> None:
    longest = {"label": "sample: pip*/uv/poetry/pdm (3660d)", "message": "collecting 3659/3660d", "color": "lightgrey"}
    assert len(draw(longest)) < 2000
