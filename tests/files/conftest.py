"""Buckets for these tests."""

from tests.buckets import azure_backend, house_of, service

__all__ = ["azure_backend", "house_of", "service"]
