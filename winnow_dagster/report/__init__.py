"""The output of commands, as text for a terminal or a log, and as JSON. docs/commands.md describes the JSON."""
