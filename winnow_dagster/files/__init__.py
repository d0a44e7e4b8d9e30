"""Bytes and paths: directories on a disk or in a bucket, and locks. Knows nothing of badges."""
