"""Files in and out: arrays, rows, tables; written whole or not at all."""
