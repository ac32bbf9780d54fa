"""`gateway trace`: where a study or document is held, which ways lead there, why a retrieve would fail."""
