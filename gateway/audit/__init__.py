"""Audit records of every transaction (BALP, ATNA)."""
