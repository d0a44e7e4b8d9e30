"""Google credentials in files and variables. Does not import Google's clients, which takes seconds."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
import stat
from pathlib import Path

logger = logging.getLogger(__name__)

ENCODED_VARIABLE = "GCP_CREDENTIALS"
"""A key in base64."""

FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
KEY_TYPES = (
    "service_account",
    "authorized_user",
    "external_account",
    "external_account_authorized_user",
    "impersonated_service_account",
)
NOT_BASE64 = f"${ENCODED_VARIABLE} is not a key in base64. Set it to `base64 -w0 key.json`"
EXPOSED = "every user of this machine can read the key. Protect it with chmod o="
"""The warning about a credential file that others can read."""


class CredentialsError(Exception):
    """There are no usable credentials. The message says why, and never quotes them."""


def find_key_file(configured: Path | None) -> Path | None:
    """Return the file with the key that Winnow will use: the configured one, else that of the environment, if any."""
    if configured is None and not os.environ.get(ENCODED_VARIABLE) and (named := os.environ.get(FILE_VARIABLE)):
        return Path(named)
    return configured


def others_can_read(path: Path) -> bool:
    """Return whether every user of this machine can read a file. Raises OSError."""
    return bool(path.stat().st_mode & stat.S_IROTH)


def read_key_file(path: Path | str) -> dict[str, object]:
    """Return the content of a credential file, as `parse_key_file` does. Warn if other users can read it."""
    content = parse_key_file(path)
    with contextlib.suppress(OSError):
        if others_can_read(Path(path)):
            logger.warning("%s: %s", path, EXPOSED)
    return content


def parse_key_file(path: Path | str) -> dict[str, object]:
    """Return the content of a credential file. Raises CredentialsError, which never quotes the content."""
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CredentialsError(_say(f"{path}: cannot be read: {error.strerror}")) from None
    except ValueError:
        raise CredentialsError(_say(f"{path}: is not JSON")) from None
    if not isinstance(content, dict) or content.get("type") not in KEY_TYPES:
        raise CredentialsError(
            _say(f"{path}: is not a Google credential file, whose `type` is one of {', '.join(KEY_TYPES)}")
        )
    return content


def _say(problem: str) -> str:
    return f"{problem}. Set source.credential_file to a service account's key, as downloaded from Google"


def encoded_key() -> dict[str, object] | None:
    """Return the key that the environment holds in base64; None without one. Raises CredentialsError."""
    encoded = os.environ.get(ENCODED_VARIABLE)
    if not encoded:
        return None
    try:
        key = json.loads(base64.b64decode(encoded))
    except ValueError:
        raise CredentialsError(NOT_BASE64) from None
    if not isinstance(key, dict):
        raise CredentialsError(NOT_BASE64)
    return key
