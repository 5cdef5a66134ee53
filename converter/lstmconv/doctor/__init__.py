"""What a file is, what this converter makes of it, and what today's Keras does."""
