"""The days that were read, and the ledger."""
