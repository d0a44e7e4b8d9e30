"""An SVG badge: well-formed and harmless whatever it says, small, and as wide as shields.io draws it."""

from __future__ import annotations

import base64
from math import ceil
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.site.svg import draw, size
from winnow_dagster.site.verdana import measure

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


@given(
    st.text(max_size=20),
    st.text(max_size=20),
    st.text(max_size=9),
    st.sampled_from(["flat", "flat-square", "plastic", "for-the-badge", "social", 3, None]),
)
def test_whatever_another_program_published_is_drawn_as_well_formed_xml(
    label: str, message: str, color: str, style: object
) -> None:
    payload = {"label": label, "message": message, "color": color, "labelColor": message, "style": style}
    root = ET.fromstring(draw(payload))
    assert (ceil(float(root.get("width", ""))), int(root.get("height", ""))) == size(payload)
    ET.fromstring(draw({}))


def test_a_logo_is_an_image_of_its_own_in_which_no_script_runs() -> None:
    logo = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    payload = {"label": "x", "message": "1", "color": "blue", "logoSvg": logo}
    root = ET.fromstring(draw(payload))
    (image,) = root.iter(f"{SVG}image")
    data = image.get("href", "")
    assert base64.b64decode(data.removeprefix("data:image/svg+xml;base64,")).decode() == logo
    assert b"script" not in draw(payload)
    assert size(payload)[0] == size({"label": "x", "message": "1"})[0] + 17


@pytest.mark.parametrize(
    ("color", "drawn"),
    # What the npm package badge-maker 6 makes of them. .ci/check_badges.py compares with its newest version: the tests
    # need no npm.
    [
        ("brightgreen", "#4b0"),
        ("success", "#4b0"),
        ("green", "#67ac09"),
        ("yellowgreen", "#95991a"),
        ("yellow", "#d8b800"),
        ("orange", "#ea7233"),
        ("important", "#ea7233"),
        ("red", "#dd4343"),
        ("critical", "#dd4343"),
        ("blue", "#007ec6"),
        ("informational", "#007ec6"),
        ("grey", "#555"),
        ("gray", "#555"),
        ("lightgrey", "#939393"),
        ("lightgray", "#939393"),
        ("inactive", "#939393"),
        ("4C1D95", "#4c1d95"),
        ("#ABC", "#abc"),
    ],
)
def test_a_color_is_the_one_that_shields_io_draws(color: str, drawn: str) -> None:
    root = ET.fromstring(draw({"label": "a", "message": "1", "color": color, "labelColor": color}))
    assert [element.get("fill") for element in root.iter(f"{SVG}path")][:2] == [drawn, drawn]


@pytest.mark.parametrize(
    ("color", "text"),
    # badge-maker rounds the brightness: that of b1b1b1 is 0.694.
    [("yellow", "#fff"), ("f5f5f5", "#333"), ("#fff", "#333"), ("red", "#fff"), ("b1b1b1", "#fff"), ("b2b2b2", "#333")],
)
def test_the_text_is_dark_on_what_is_bright(color: str, text: str) -> None:
    root = ET.fromstring(draw({"label": "", "message": "1", "color": color}))
    assert [element.get("fill") for element in root.iter(f"{SVG}text")][-1] == text


@pytest.mark.parametrize(
    ("style", "expected"),
    # What the npm package badge-maker 6 gives the label `installs (30d)` and the message `1.2k`.
    [
        ("flat", ("118", "20", "11", "14", ["installs (30d)", "1.2k"], [None, None])),
        ("flat-square", ("118", "20", "11", "14", ["installs (30d)", "1.2k"], [None, None])),
        ("plastic", ("118", "18", "11", "13", ["installs (30d)", "1.2k"], [None, None])),
        ("for-the-badge", ("177.5", "28", "10", "17.5", ["INSTALLS (30D)", "1.2K"], [None, "bold"])),
    ],
)
def test_each_style_is_drawn_as_on_shields_io(style: str, expected: tuple[object, ...]) -> None:
    root = ET.fromstring(draw({"label": "installs (30d)", "message": "1.2k", "color": "blue", "style": style}))
    texts = [text for text in root.iter(f"{SVG}text") if text.get("fill-opacity") is None]
    (font,) = [size for element in root.iter() if (size := element.get("font-size"))]
    found = root.get("width"), root.get("height"), font, texts[0].get("y")
    assert (*found, [text.text for text in texts], [text.get("font-weight") for text in texts]) == expected
    assert root.findtext(f"{SVG}title") == "installs (30d): 1.2k"


def test_a_square_badge_has_no_gradient_and_no_round_corners() -> None:
    square = draw({"label": "a", "message": "1", "color": "blue", "style": "flat-square"})
    assert b"Gradient" not in square
    assert b"clip" not in square


@pytest.mark.parametrize(
    ("text", "pixels"),
    # What the npm package badge-maker 6 gives them.
    [
        ("pip*/uv/poetry/pdm (30d)", 147),
        ("pip (7d)", 45),
        ("linux (30d)", 61),
        ("1.2k", 25),
        ("collecting 12/30d", 95),
        ("1.2k to 2026-11-10", 109),
        ("honest (30d)", 71),
        ("38.2%", 37),
        ("pip*/uv/poetry/pdm (since 2025-11-01)", 223),
    ],
)
def test_our_labels_and_messages_are_as_wide_as_on_shields_io(text: str, pixels: int) -> None:
    assert abs(measure(text) - pixels) <= 3


def test_the_longest_badge_weighs_less_than_two_kilobytes() -> None:
    longest = {"label": "sample: pip*/uv/poetry/pdm (3660d)", "message": "collecting 3659/3660d", "color": "lightgrey"}
    assert len(draw(longest)) < 2000
