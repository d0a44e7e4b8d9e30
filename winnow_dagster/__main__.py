"""`python -m winnow_dagster` runs `winnow`."""

from winnow_dagster.cli import main

main(prog_name="winnow")
