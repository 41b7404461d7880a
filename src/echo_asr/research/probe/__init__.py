"""Which layers of a pretrained encoder to read: a small recogniser is trained on the states of each."""
