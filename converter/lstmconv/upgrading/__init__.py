"""The same model as a file that today's Keras opens."""
