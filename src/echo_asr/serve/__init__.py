"""A service: OpenAI's audio API over HTTP, live text over a WebSocket, a page for browsers, and Home Assistant."""
