"""
Yardstick (e): requests, one call after the other, as a first script does it.

It comes back after 429 and 5xx as urllib3 knows how to, and when it is started again it begins
with the first row.
"""

import sys

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.bench.yard_rows import HEADERS, read_wanted

RETRY = Retry(
    total=5,
    backoff_factor=1,
    status_forcelist=[429, 500, 502, 503, 504],
    allowed_methods=None,
    raise_on_status=False,
)


def send_all(file: str) -> None:
    """Send everything."""
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(max_retries=RETRY))
        session.headers.update(HEADERS)
        for one in read_wanted(file):
            session.post(one.url, json=one.body, timeout=60)


if __name__ == "__main__":
    send_all(sys.argv[1])
