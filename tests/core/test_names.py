"""Names are normalised once and for all; a selector selects what it says and nothing beside it."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from winnow_dagster.core.names import MAX_NAME_LENGTH, Selector, matches_any, normalise

names = st.from_regex(r"\A[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?\Z")
selectors = st.builds(Selector.parse, names | names.map(lambda name: name + "-*"))


@given(names)
def test_a_normalised_name_is_its_own_normal_form(name: str) -> None:
    assert normalise(normalise(name)) == normalise(name)


@given(names, st.sampled_from(["-", "_", ".", "--", "-_."]))
def test_runs_of_separators_and_case_make_no_difference(name: str, separator: str) -> None:
    assert normalise(f"{name}{separator}x") == normalise(f"{name.upper()}-X")


@pytest.mark.parametrize(
    "text", ["", "-a", "a-", "a/b", "../x", ".", "_static", "a b", "a\n", "\u212aelvin", "\u00e9", "a\0"]
)
def test_what_is_not_a_pypi_name_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="is not a PyPI name") as caught:
        normalise(text)
    assert repr(text) in str(caught.value)


def test_a_name_that_no_folder_can_have_is_refused() -> None:
    normalise("a" * MAX_NAME_LENGTH)
    with pytest.raises(ValueError, match="a name of 201 characters is too long"):
        normalise("a" * (MAX_NAME_LENGTH + 1))


def test_a_prefix_selects_longer_names_but_not_its_own_stem() -> None:
    prefix = Selector.parse("Tidy_*")
    assert str(prefix) == "tidy-*"
    assert prefix.matches("tidy-young")
    assert not prefix.matches("tidy")
    assert not prefix.matches("tidyverse")


@pytest.mark.parametrize(("text", "advice"), [("tidy*", "write 'tidy-*'"), ("a*b", "is not a PyPI name")])
def test_a_selector_of_another_form_is_refused_with_what_to_write(text: str, advice: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the advice is looked for below
        Selector.parse(text)
    assert advice in str(caught.value)


@given(selectors, selectors, names)
def test_what_covers_another_selects_all_that_the_other_selects(one: Selector, other: Selector, name: str) -> None:
    package = normalise(name)
    if one.covers(other) and other.matches(package):
        assert one.matches(package)
    assert one.covers(one)


NO_NAMES = ["_group/x", "_static", "x/y", "X", "x_y", "x--y", "x-", "x\n", "x y", "", "x" * (MAX_NAME_LENGTH + 1)]


@pytest.mark.parametrize("text", NO_NAMES)
def test_a_prefix_selects_no_text_that_is_no_normalised_name(text: str) -> None:
    for selector in (Selector.parse("*"), Selector.parse("x-*"), Selector("_", is_prefix=True)):
        assert not selector.matches(text)
        assert not selector.covers(Selector(text))


def test_everything_covers_every_prefix_and_name() -> None:
    assert all(Selector.parse("*").covers(Selector.parse(text)) for text in ("*", "x-*", "x", "x-y"))
    assert not Selector.parse("x-*").covers(Selector.parse("*"))


@given(st.lists(selectors, max_size=4), st.lists(names.map(normalise) | st.sampled_from(NO_NAMES), max_size=6))
def test_the_polars_condition_selects_what_the_selectors_do(chosen: list[Selector], packages: list[str]) -> None:
    frame = pl.DataFrame({"package": packages}, schema={"package": pl.String})
    selected = frame.filter(matches_any(chosen, "package"))["package"].to_list()
    assert selected == [package for package in packages if any(s.matches(package) for s in chosen)]
