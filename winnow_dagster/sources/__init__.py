"""Where raw counts come from: one interface, a table of kinds, and a folder or module for each kind."""
