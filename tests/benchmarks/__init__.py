"""What is timed. Not tests: a figure here passes or fails nothing."""
