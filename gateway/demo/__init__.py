"""The demonstration: own sample content, a run of all parts on one machine, and an outside client's check."""
