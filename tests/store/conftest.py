"""Buckets for these tests."""

from tests.buckets import azure_backend, gcs_backend, house_of, s3_backend, service

__all__ = ["azure_backend", "gcs_backend", "house_of", "s3_backend", "service"]
