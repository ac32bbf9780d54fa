"""Audit: one record of each transaction, kept until its repositories have it (IHE ITI ATNA, BALP; ITI-20)."""
