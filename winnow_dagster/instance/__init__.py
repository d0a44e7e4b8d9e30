"""The Dagster instance, its runs and its history. Only this package uses Dagster's private API."""
