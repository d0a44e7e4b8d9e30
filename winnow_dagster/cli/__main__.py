"""`python -m winnow_dagster.cli` runs `winnow`."""

from winnow_dagster.cli import main

main(prog_name="winnow")
