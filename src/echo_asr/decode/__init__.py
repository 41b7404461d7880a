"""Sound to text with a trained model."""
