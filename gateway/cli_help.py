"""Examples below the help of a command."""


def examples(*commands: str) -> str:
    """The epilog of a command: one example to a line."""
    return "\n\n".join(("Examples:", *commands))
