"""`python -m appliance` is the command `roomlet`."""

from __future__ import annotations

from appliance.cli import main

if __name__ == "__main__":
    main()
