"""What the founding documents propose and the studies found to add nothing: thetas, radii, pitch biases, null keys.

Each is a small class that `echo_asr.vrope.choose` hands to the attention layer where a configuration asks for it.
"""
