"""
Yardstick (d): Celery with requests, 32 threads, on the same Redis.

It tries again as Celery's own pages show, and waits as Graph asks. `python yard_celery.py FILE`
queues the responses; `celery --app yard_celery worker` sends them.
"""

import sys
import threading
from typing import Any, Final

import requests
from celery import Celery

from tests.bench.yard_rows import HEADERS, Wanted, read_wanted, redis_socket

BUSY: Final = 429
BROKEN: Final = 500
TRIES: Final = 5

app = Celery("yard_celery", broker=f"redis+socket://{redis_socket()}")
app.conf.task_ignore_result = True
local = threading.local()


def session() -> requests.Session:
    """Return this thread's session."""
    if not hasattr(local, "session"):
        local.session = requests.Session()
        local.session.headers.update(HEADERS)
    kept: requests.Session = local.session
    return kept


def send(task: Any, *row: str) -> None:
    """Send one response."""
    one = Wanted(*row)
    reply = session().post(one.url, json=one.body, timeout=60)
    if reply.status_code == BUSY:
        raise task.retry(countdown=int(reply.headers.get("Retry-After", "1")))
    if reply.status_code >= BROKEN:
        raise task.retry(countdown=2**task.request.retries)


respond = app.task(bind=True, name="respond", max_retries=TRIES)(send)


def enqueue(file: str) -> None:
    """Queue everything."""
    with app.producer_pool.acquire(block=True) as producer:
        for one in read_wanted(file):
            respond.apply_async(args=one, producer=producer)


if __name__ == "__main__":
    enqueue(sys.argv[1])
