"""Dagster's side of Winnow, thin: which assets there are, what runs them, where their values go."""
