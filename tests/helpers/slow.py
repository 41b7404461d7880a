"""Cases that `make test` leaves to `make test-all`."""

from typing import Any

import pytest


def slow(*values: Any, **options: Any) -> Any:
    """A case of a parametrised test that is slow, and whose behaviour another case shows, too."""
    return pytest.param(*values, marks=pytest.mark.slow, **options)
