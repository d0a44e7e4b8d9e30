"""Which Dagster instance, its runs and its history: all that uses Dagster's private API."""
