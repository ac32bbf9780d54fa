"""Messages that break the structure of patient discovery."""


class Hl7v3Error(ValueError):
    """The text names the element and the rule and holds no value of the message."""
