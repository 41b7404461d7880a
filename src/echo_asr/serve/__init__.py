"""A service: OpenAI's audio API over HTTP, live text over a WebSocket, and a page for browsers."""
