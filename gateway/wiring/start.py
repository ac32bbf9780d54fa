"""Why a gateway does not start."""


class StartError(Exception):
    """The gateway cannot start; the text is one line for the operator."""


class StateInUse(StartError):
    """Another gateway runs on the state directory."""
