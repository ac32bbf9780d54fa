"""Where a study or document is held, which ways lead there, why a retrieve would fail: for `gateway trace`
and the console."""
