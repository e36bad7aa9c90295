"""The settings of a Python subject, from the environment."""

import os

PORT = int(os.environ["PORT"])
GATE = {
    "service": "subject",
    "schema_url": os.environ["SCHEMA_URL"],
    "requires": os.environ["REQUIRES"],
    "built_with": os.environ["BUILT_WITH"],
    "mode": os.environ["MODE"],
    "max_staleness": float(os.environ["MAX_STALENESS"]),
}
