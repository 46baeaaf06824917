"""Whether a part of Airflow works, by its own word: `healthy.py metadatabase|scheduler|dag_processor`.

For the health checks of docker-compose.yml: ends with 0 or 1 and says what it saw.
"""

from __future__ import annotations

import json
import sys
from urllib.request import urlopen

HEALTH = "http://airflow-apiserver:8080/api/v2/monitor/health"
LIMIT_S = 8


def main() -> int:
    """Asks the api-server."""
    part = sys.argv[1]
    try:
        with urlopen(HEALTH, timeout=LIMIT_S) as answer:
            status = json.load(answer)[part]["status"]
    except (OSError, ValueError, KeyError) as error:
        status = f"cannot be told: {error!r}"
    sys.stdout.write(f"{part}: {status}\n")
    return 0 if status == "healthy" else 1


if __name__ == "__main__":
    sys.exit(main())
