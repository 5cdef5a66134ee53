"""The parts of a page, a module for each."""
