"""Render published files: turn counts into bytes. Nothing here writes a file."""
