"""What the studies found to add nothing to the default model: each a small class that the main path takes as an argument."""
