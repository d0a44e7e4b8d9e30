"""What Winnow knows: pure functions and frozen values. No Dagster, no Google, no environment, no I/O."""
