"""The stored state of an installation: days, answers, the ledger, row numbers and sent alerts."""
