"""From settings to running parts, one module per subject."""
