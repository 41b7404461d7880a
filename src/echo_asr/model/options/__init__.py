"""What the studies found to add nothing: each a small class that the default model takes as an argument."""
