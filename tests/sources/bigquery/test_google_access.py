"""Credentials of each kind: kept in memory only. Without a token, the error has the service's words and the fix."""

from __future__ import annotations

import base64
import http.server
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import google.auth.iam
import google.oauth2.credentials
import pytest
from dagster_gcp.bigquery.utils import setup_gcp_creds

from tests import google_answers as answers
from tests.bucket_service import bucket_service, gcs_emulator
from tests.fake_bigquery import Answer, Service, encoded, fake
from tests.sources.bigquery.conftest import RETRY, ROW, ask, downloads
from winnow_dagster import google_access
from winnow_dagster.files import gcs
from winnow_dagster.sources.bigquery import client as bigquery_client
from winnow_dagster.sources.bigquery import errors as bigquery_errors
from winnow_dagster.sources.bigquery.jobs import RetryPolicy
from winnow_dagster.sources.bigquery.settings import BigQuerySettings
from winnow_dagster.sources.bigquery.source import BigQuerySource
from winnow_dagster.sources.interface import SourceError, TransientError
from winnow_dagster.store.ledger import Ledger

Make = Callable[[Path | None], BigQuerySource]

SECRET = "1//refresh-token-that-nobody-may-see"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Service]:
    with fake([ROW]) as service:
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        # Google's client goes to the fake; Winnow does not take it for an emulator that needs no credentials.
        monkeypatch.setattr(bigquery_client, "EMULATOR_VARIABLE", "NOT_AN_EMULATOR")
        monkeypatch.setattr(google.oauth2.credentials, "_GOOGLE_OAUTH2_TOKEN_ENDPOINT", f"{service.url}/token")
        monkeypatch.setattr(google.auth.iam, "_IAM_ENDPOINT", f"{service.url}/token?{{}}")
        monkeypatch.setenv("NO_GCE_CHECK", "true")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "winnow-test")
        for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GCP_CREDENTIALS"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.chdir(tmp_path)
        yield service


@pytest.fixture
def make_source(tmp_path: Path, service: Service) -> Make:
    def make(key: Path | None) -> BigQuerySource:
        return BigQuerySource(BigQuerySettings(), key, Ledger(tmp_path / "ledger.jsonl"), RETRY)

    return make


def kinds(service: Service) -> dict[str, dict[str, Any]]:
    """A credential file of each kind, whose tokens the service gives out."""
    login = {"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": SECRET}
    url = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/robot@x.iam.gserviceaccount.com"
    Path("subject").write_text("a token of another provider")
    return {
        "service_account": service.key(),
        "authorized_user": login,
        "external_account": {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{service.url}/token",
            "credential_source": {"file": "subject"},
        },
        "impersonated_service_account": {
            "type": "impersonated_service_account",
            "service_account_impersonation_url": f"{url}:generateAccessToken",
            "source_credentials": login,
        },
    }


def write(key: dict[str, Any], name: str = "key.json") -> Path:
    path = Path(name).absolute()
    path.write_text(json.dumps(key))
    path.chmod(0o600)
    return path


TOKEN = Answer(body={"accessToken": "made-up", "expireTime": "2100-01-01T00:00:00Z"})


@pytest.mark.parametrize("way", ["file", "path in the environment", "key in the environment"])
@pytest.mark.parametrize(
    "kind", ["service_account", "authorized_user", "external_account", "impersonated_service_account"]
)
def test_each_kind_of_credentials_reads_in_each_way(
    make_source: Make, service: Service, monkeypatch: pytest.MonkeyPatch, kind: str, way: str
) -> None:
    key = kinds(service)[kind]
    path = write(key) if way != "key in the environment" else None
    if way == "path in the environment":
        # As a shell's user writes it: against the folder where the command was started.
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "key.json")
    elif path is None:
        monkeypatch.setenv("GCP_CREDENTIALS", encoded(key))
    if kind == "impersonated_service_account":
        service.script("token", Answer(), TOKEN)
    assert downloads(list(make_source(path if way == "file" else None).read([ask()]))) == 7
    assert "token" in service.operations()


REFUSALS: dict[str, tuple[str, list[Answer], str, str]] = {
    "an expired login": (
        "authorized_user",
        [answers.refused_token("invalid_grant", "Token has been expired or revoked.")],
        "invalid_grant: Token has been expired or revoked",
        "Run `gcloud auth application-default login`",
    ),
    "a login that has to be renewed": (
        "authorized_user",
        [answers.refused_token("invalid_grant", "reauth related error (invalid_rapt)", "invalid_rapt")],
        "Reauthentication is needed",
        "Run `gcloud auth application-default login`",
    ),
    "a deleted key": (
        "service_account",
        [answers.refused_token("invalid_grant", "Invalid JWT Signature.")],
        "invalid_grant: Invalid JWT Signature",
        "Make a new key for the service account",
    ),
    "a wrong clock": (
        "service_account",
        [
            answers.refused_token(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your "
                "iat and exp values in the JWT claim.",
            )
        ],
        "Invalid JWT: Token must be a short-lived token",
        "Set this machine's clock",
    ),
    "an account that is gone": (
        "service_account",
        [answers.refused_token("invalid_grant", "Invalid grant: account not found")],
        "account not found",
        "Make a new key for the service account",
    ),
    "a provider that Google does not take": (
        "external_account",
        [answers.refused_token("invalid_grant", "The audience in ID Token does not match the expected audience.")],
        "invalid_grant: The audience in ID Token does not match",
        "Check `credential_source` in the credential file, and the workload identity pool",
    ),
    "no right to impersonate": (
        "impersonated_service_account",
        [Answer(), answers.bare(403, answers.NO_TOKEN_CREATOR, "IAM_PERMISSION_DENIED")],
        "iam.serviceAccounts.getAccessToken",
        "Service Account Token Creator",
    ),
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS)
def test_a_refused_token_is_told_once_in_the_services_words_with_the_fix_for_its_kind(
    make_source: Make, service: Service, refusal: tuple[str, list[Answer], str, str]
) -> None:
    kind, scripted, words, fix = refusal
    service.script("token", *scripted, *[scripted[-1]] * 20)
    with pytest.raises(SourceError, match="Google rejects the credentials") as caught:
        list(make_source(write(kinds(service)[kind])).read([ask()]))
    assert words in str(caught.value)
    assert fix in str(caught.value)
    assert SECRET not in str(caught.value)
    assert not isinstance(caught.value, TransientError)
    assert service.operations() == ["token"] * len(scripted)


def test_a_token_service_that_fails_inside_is_transient(make_source: Make, service: Service) -> None:
    service.script("token", *[answers.refused_token("internal_failure", "", status=500)] * 3)
    assert downloads(list(make_source(write(service.key())).read([ask()]))) == 7


def test_a_missing_subject_token_is_named(make_source: Make, service: Service) -> None:
    key = kinds(service)["external_account"]
    Path("subject").unlink()
    with pytest.raises(SourceError, match=r"File 'subject' was not found\)\. Check `credential_source`"):
        list(make_source(write(key)).read([ask()]))


class IdTokens(http.server.BaseHTTPRequestHandler):
    """What gives a job of GitHub Actions its identity, if the job may have one."""

    def do_GET(self) -> None:
        may = self.headers["Authorization"] == "Bearer of-this-job" and "audience=//iam" in unquote(self.path)
        self.send_response(200 if may else 401)
        self.end_headers()
        self.wfile.write(b'{"count": 1, "value": "a token of GitHub"}' if may else b"no")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        pass


@pytest.fixture
def github(service: Service) -> Iterator[dict[str, Any]]:
    """The credential file that google-github-actions/auth writes for a service account."""
    audience = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/github/providers/q"
    robot = "serviceAccounts/robot@x.iam.gserviceaccount.com:generateAccessToken"
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), IdTokens) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}/token?api-version=2.0&audience={quote(audience)}"
        yield {
            "type": "external_account",
            "audience": audience,
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": f"{service.url}/token",
            "credential_source": {
                "url": url,
                "headers": {"Authorization": "Bearer of-this-job"},
                "format": {"type": "json", "subject_token_field_name": "value"},
            },
            "service_account_impersonation_url": f"{service.url}/token?/v1/projects/-/{robot}",
        }
        server.shutdown()


@pytest.mark.parametrize("way", ["file", "path in the environment", "key in the environment"])
def test_the_identity_of_a_job_of_github_actions_reads_in_each_way(
    make_source: Make, service: Service, github: dict[str, Any], monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    path = write(github)
    if way != "file":
        given = str(path) if way == "path in the environment" else encoded(github)
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS" if given == str(path) else "GCP_CREDENTIALS", given)
    service.script("token", Answer(), TOKEN)
    assert downloads(list(make_source(path if way == "file" else None).read([ask()]))) == 7
    assert service.operations()[:2] == ["token", "token"]


def test_the_identity_of_a_job_of_github_actions_opens_a_bucket(
    service: Service, github: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The client scopes a copy of the credentials, which asks for a token of its own.
    service.script("token", *[TOKEN] * 4)
    with gcs_emulator() as emulator, bucket_service(emulator) as buckets:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", buckets.url)
        monkeypatch.setattr(gcs, "EMULATOR_VARIABLE", "NOT_AN_EMULATOR")
        store = gcs.GcsStore("data-bucket", write(github))
        store.write("a", b"content", None)
        assert store.read("a") == b"content"
    assert set(service.operations()) == {"token"}


def test_an_identity_that_may_not_act_as_the_service_account_is_told_which_role_it_lacks(
    make_source: Make, service: Service, github: dict[str, Any]
) -> None:
    service.script("token", Answer(), answers.bare(403, answers.NO_TOKEN_CREATOR, "IAM_PERMISSION_DENIED"))
    with pytest.raises(SourceError, match=r"iam\.serviceAccounts\.getAccessToken.* Workload Identity User") as caught:
        list(make_source(write(github)).read([ask()]))
    assert "a token of GitHub" not in str(caught.value)


def test_a_job_without_an_identity_is_told_so_once(make_source: Make, service: Service, github: dict[str, Any]) -> None:
    github["credential_source"]["headers"]["Authorization"] = "Bearer of-another-job"
    with pytest.raises(SourceError, match=r"subject token\b.* Check `credential_source`") as caught:
        list(make_source(write(github)).read([ask()]))
    assert "of-another-job" not in str(caught.value)
    assert service.operations() == []


def test_a_login_without_a_project_uses_its_quota_project(
    make_source: Make, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    key = kinds(service)["authorized_user"]
    with pytest.raises(SourceError, match="name no Google Cloud project"):
        list(make_source(write(key)).read([ask()]))
    list(make_source(write(key | {"quota_project_id": "mine"})).read([ask()]))
    assert {call.project for call in service.calls if call.operation == "insert"} == {"mine"}


def test_a_key_in_the_environment_is_never_in_a_file_even_while_it_is_used(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.setenv("GCP_CREDENTIALS", encoded(service.key()))
    opened: list[str] = []
    # A hook stays for as long as its process: it keeps nothing of other tests.
    here = str(temporary)
    sys.addaudithook(
        lambda event, args: opened.append(str(args[0])) if event == "open" and str(args[0]).startswith(here) else None
    )
    with bigquery_client.connect(BigQuerySettings(), None):
        assert opened == []
        assert "GOOGLE_APPLICATION_CREDENTIALS" not in os.environ
    with setup_gcp_creds(encoded(service.key())):
        # This is how the file of dagster-gcp's resource would have shown.
        assert opened != []


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port that takes connections and never answers, as a network that swallows packets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        yield port


@pytest.mark.parametrize("what", ["the token service", "BigQuery"])
def test_without_a_network_there_is_an_answer_in_time(
    service: Service, deaf: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str
) -> None:
    for name, seconds in {"CONNECT_SECONDS": 0.2, "TOKEN_SECONDS": 0.3}.items():
        monkeypatch.setattr(google_access, name, seconds)
    monkeypatch.setattr(bigquery_errors, "FIRST_SECONDS", 0.5)
    key = service.key(**({"token_uri": f"http://127.0.0.1:{deaf}/token"} if what == "the token service" else {}))
    if what == "BigQuery":
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", f"http://127.0.0.1:{deaf}")
    retry_policy = RetryPolicy(tries=100, initial=0.01, maximum=0.1, total=60, call=0.3)
    source = BigQuerySource(BigQuerySettings(), write(key), Ledger(tmp_path / "ledger.jsonl"), retry_policy)
    began = time.monotonic()
    with pytest.raises(TransientError, match=r"^BigQuery cannot be reached\. Check the network and run again$"):
        list(source.read([ask()]))
    assert time.monotonic() - began < 5


def test_the_times_of_the_first_request_add_up_to_less_than_a_minute() -> None:
    longest = google_access.TOKEN_SECONDS + min(RetryPolicy().call, google_access.FIRST_SECONDS)
    assert google_access.FIRST_SECONDS + longest <= 60
    assert 16 * google_access.CONNECT_SECONDS <= 60


def test_a_killed_process_leaves_no_key_behind(service: Service, tmp_path: Path) -> None:
    key = service.key()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    code = (
        "import os, signal\n"
        "from winnow_dagster.sources.bigquery.settings import BigQuerySettings\n"
        "from winnow_dagster.sources.bigquery import client as c\n"
        "load = c.load_credentials\n"
        "def die(*a): load(*a); os.kill(os.getpid(), signal.SIGKILL)\n"
        "c.EMULATOR_VARIABLE, c.load_credentials = 'NONE', die\n"
        "c.connect(BigQuerySettings(), None).__enter__()\n"
    )
    env = {**os.environ, "TMPDIR": str(temporary), "GCP_CREDENTIALS": encoded(key)}
    done = subprocess.run([sys.executable, "-c", code], env=env, check=False, capture_output=True)
    assert done.returncode == -9
    private = base64.b64encode(key["private_key"].encode())[:40]
    assert private
    assert [path for path in tmp_path.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()] == []
