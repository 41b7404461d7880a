"""Trains the pitch tracker that ships with Echo: `python -m echo_asr.research.tracker.train CORPUS OUT`."""
