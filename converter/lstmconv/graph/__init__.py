"""Keras config and arrays → graph."""
