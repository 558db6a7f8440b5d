"""What the hub's web server and the panel's have in common."""

from pathlib import Path
from typing import Final

__all__ = ["SHARED"]

SHARED: Final = Path(__file__).with_name("page")
"""Files that both pages use."""
