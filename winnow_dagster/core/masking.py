"""Masking of what may be a secret in a text that a message quotes."""

from __future__ import annotations

import re

ADDRESS = re.compile(r"https?:/+[^\s'\"`/][^\s'\"`]*", re.IGNORECASE)
_HOST = re.compile(r"[\s!]*[\w.-]+\.[a-z]{2,}(:\d+)?(?=[/?#])", re.IGNORECASE)
HIDDEN_ADDRESS = "https://…"


def hide(text: str) -> str:
    """Return a text of the config, with what may be a secret masked."""
    if "PRIVATE KEY" in text:
        return "…PRIVATE KEY…"
    if ADDRESS.search(text):
        return HIDDEN_ADDRESS
    host = _HOST.match(text)
    return f"{host[0]}/…" if host else text


def shown(value: object) -> str:
    """Return a wrong value as a message quotes it: short, and with what may be a secret masked."""
    if isinstance(value, dict | list):
        return "a section" if isinstance(value, dict) else "a list"
    text = repr(hide(value) if isinstance(value, str) else value)
    return text if len(text) <= 60 else text[:57] + "..."  # noqa: PLR2004 - what fits a line
