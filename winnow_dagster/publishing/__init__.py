"""The web directory: what is published, and what of it is no longer asked for."""
