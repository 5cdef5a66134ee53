"""One handler per Keras class, which adds the layer's nodes to the graph; `keras_classes` lists them.

A handler takes the layer and one call of it, and returns the tensors the call makes, each with the mask Keras would
attach to it. It reads every option it understands from `layer.config`; what it leaves unread is refused.
"""
