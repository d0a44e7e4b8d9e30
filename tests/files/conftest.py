"""Buckets for these tests."""

from tests.buckets import house_of, service

__all__ = ["house_of", "service"]
