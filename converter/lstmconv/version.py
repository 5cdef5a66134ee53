"""The version of the converter: the only place where it stands."""

__version__ = "0.1.0"
