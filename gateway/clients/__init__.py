"""What the gateway calls: one class per actor, a peer's quirks as data."""
