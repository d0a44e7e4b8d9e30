"""Text that strangers chose is shown as it is, and obeyed nowhere."""

from __future__ import annotations

import re
from datetime import date

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from winnow_dagster.core.coverage import Failure, Request
from winnow_dagster.core.escaping import for_markdown, for_slack, for_terminal, visible
from winnow_dagster.core.names import Selector
from winnow_dagster.files.errors import StorageError
from winnow_dagster.sources.interface import SourceError

hostile = st.text() | st.lists(
    st.sampled_from(["<!channel>", "<https://a.example|b>", "`", "```", "\x1b[31m", "\x9b31m", "\n", "\r", "\u202e",
                     "![x](https://a.example)", "[x](https://a.example)", "<img src=x>", "|", "&lt;", "\udcff"])
).map("".join)  # fmt: skip


@given(hostile)
def test_a_terminal_gets_no_escape_codes_and_the_same_lines(text: str) -> None:
    shown = for_terminal(text)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert shown.count("\n") == text.count("\n")
    assert visible(text).isprintable()


@given(hostile)
def test_slack_gets_one_code_block_without_mentions_and_links(text: str) -> None:
    shown = for_slack(text)
    assert re.fullmatch(r"```[^`<>]*```", shown)
    assert not re.search("&(?!amp;|lt;|gt;)", shown)


@given(hostile.filter(str.strip))
def test_markdown_gets_one_code_span(text: str) -> None:
    html = MarkdownIt().render(for_markdown(text))
    assert re.fullmatch(r"<p><code>[^<>]*</code></p>\n", html), html


def test_text_without_control_characters_stays_as_it_is() -> None:
    assert visible("naïve 名前 'a'") == "naïve 名前 'a'"
    assert visible("\x1b[31mred\udcff") == r"\x1b[31mred\udcff"


def test_messages_that_quote_strangers_hold_no_control_characters() -> None:
    name = "a\x1b]0;b\x07\n"
    request = Request(Selector("a"), date(2025, 6, 30), date(2025, 6, 30))
    for told in (
        str(StorageError(name)),
        str(SourceError(name)),
        Failure(request, name).reason,
    ):
        assert told == r"a\x1b]0;b\x07\n"
