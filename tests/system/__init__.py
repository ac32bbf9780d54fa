"""The whole gateway over real sockets, with the embedded affinity domain behind it."""
