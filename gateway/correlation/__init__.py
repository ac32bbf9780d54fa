"""The Redis store: keys, lifetimes, snapshots, idempotency. Losing it costs time, never data."""
