"""Manifests, imaging studies and images across RAD-69, RAD-75 and WADO-RS."""
