"""Predictions for a lot of data: many files, tables, processes, and clusters."""
