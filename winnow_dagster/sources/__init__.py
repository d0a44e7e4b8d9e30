"""The sources of raw counts: their interface, the table of kinds, and a folder or module for each kind."""
