"""Opaque retrieval URLs; tokens and assertions."""
