"""The record's JSON is what anybody's JSON is."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.site.record import to_json

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.dictionaries(st.text(), json_values))
def test_published_json_is_indented_as_the_standard_library_does(content: dict[str, object]) -> None:
    assert to_json(content).decode() == json.dumps(content, indent=2) + "\n"
