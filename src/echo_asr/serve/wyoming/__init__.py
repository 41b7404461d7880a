"""A Wyoming server, which Home Assistant takes for a speech-to-text service: https://github.com/OHF-Voice/wyoming."""
