"""Messages that break the structure of a transaction, with the error code of ITI TF-3 Table 4.2.4.1-2."""


class MetadataError(Exception):
    """A message whose structure breaks the metadata model (ITI TF-3 4.2).

    `code` is what a registry or repository answers with; `context` names element and rule and holds no
    value of the message.
    """

    def __init__(self, code: str, context: str) -> None:
        super().__init__(f"{code}: {context}")
        self.code = code
        self.context = context


class StoredQueryError(Exception):
    """A stored query that cannot be written or carried out (ITI TF-2 3.18.4.1.2 and 3.18.4.1.3).

    `code` and `context` as in MetadataError.
    """

    def __init__(self, code: str, context: str) -> None:
        super().__init__(f"{code}: {context}")
        self.code = code
        self.context = context
