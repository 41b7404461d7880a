"""The colours of all pictures."""

from __future__ import annotations

INK, BLUE, RED, GREEN, GREY, NULL = "#222222", "#1f5fa8", "#c23b22", "#2a7f3f", "#8a8a8a", "#dde3ea"
ORANGE, PURPLE, TEAL = "#b8860b", "#6a4c93", "#00868b"
