"""Google credentials: a key file that the config names, a key in the environment, or what Google's tools left there."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import os
from typing import TYPE_CHECKING

from winnow_dagster.storage.disk import others_can_read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)

ENCODED_VARIABLE = "GCP_CREDENTIALS"
"""A key in base64, as dagster-gcp takes it."""

FILE_VARIABLE = "GOOGLE_APPLICATION_CREDENTIALS"
KEY_TYPES = ("service_account", "authorized_user", "external_account", "impersonated_service_account")
NOT_BASE64 = f"${ENCODED_VARIABLE} is not a key in base64. Set it to `base64 -w0 key.json`"
EXPOSED = "every user of this machine can read the key. Protect it with chmod o="
"""What is said of a credential file that others can read."""


class CredentialsError(Exception):
    """No credentials can be had. The message says why, and never what is in them."""


def _check_key_file(path: Path) -> None:
    """Raise CredentialsError: what is wrong with the file, never what is in it. Warn if others may read it."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if others_can_read(path):
            logger.warning("%s: %s", path, EXPOSED)
    except OSError as error:
        raise CredentialsError(_say(f"{path}: cannot be read: {error.strerror}")) from None
    except ValueError:
        raise CredentialsError(_say(f"{path}: is not JSON")) from None
    found = content.get("type") if isinstance(content, dict) else None
    if found not in KEY_TYPES:
        raise CredentialsError(
            _say(f"{path}: is not a Google credential file, whose `type` is one of {', '.join(KEY_TYPES)}")
        )


def _say(problem: str) -> str:
    return f"{problem}. Set source.credential_file to a service account's key, as downloaded from Google"


@contextlib.contextmanager
def key_in_environment(path: Path | None) -> Iterator[None]:
    """Set the variable in which Google's library looks for a key file; put back what it was. Raises CredentialsError.

    The variable, not a resource's own setting, which would write the key into a temporary file.
    """
    before = os.environ.get(FILE_VARIABLE)
    if path:
        _check_key_file(path)
        os.environ[FILE_VARIABLE] = str(path)
    elif os.environ.get(ENCODED_VARIABLE) or not before:
        # Neither Google's library nor dagster-gcp takes another key while the variable is set, even to nothing.
        os.environ.pop(FILE_VARIABLE, None)
    try:
        yield
    finally:
        os.environ.pop(FILE_VARIABLE, None)
        if before is not None:
            os.environ[FILE_VARIABLE] = before


def encoded_key() -> dict[str, object] | None:
    """Return the key that the environment holds in base64, if it does. Raises CredentialsError."""
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
