"""Exit 0 when a URL answers 200: `python healthy.py http://127.0.0.1:8080/healthz`, for health checks."""

import sys
import urllib.request
from http import HTTPStatus


def main() -> int:
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=4) as answer:  # noqa: S310 - compose.yaml gives it
            return 0 if answer.status == HTTPStatus.OK else 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
