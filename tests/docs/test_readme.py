"""The README is short, its pictures are small, and it has the commands that .ci/run reads."""

from __future__ import annotations

import re

from tests.docs.pages import README, ROOT, commands, read

MAX_WORDS = 900
MAX_PICTURE_BYTES = 150_000


def test_the_readme_has_at_most_900_words() -> None:
    assert len(read(README).split()) <= MAX_WORDS


def test_the_section_that_ci_runs_has_three_commands() -> None:
    section = re.search(r"^## Try it$(.*?)^## ", read(README), re.MULTILINE | re.DOTALL)
    assert section
    assert len(re.findall(r"^    \S", section[1], re.MULTILINE)) == 3


def test_the_pictures_are_small_together_and_all_are_shown() -> None:
    pictures = list((ROOT / "docs" / "pictures").iterdir())
    assert sum(picture.stat().st_size for picture in pictures) < MAX_PICTURE_BYTES
    for picture in pictures:
        assert f"docs/pictures/{picture.name}" in read(README)


def test_the_commands_for_bigquery_are_those_that_the_documentation_explains() -> None:
    explained = list(commands(ROOT / "docs" / "bigquery.md"))
    found = [command for command in commands(README) if command.startswith("gcloud ")]
    assert len(found) == 6
    assert set(found) <= set(explained)
