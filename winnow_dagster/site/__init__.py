"""What the world sees: counts to the bytes of files. Renders; writes nothing."""
