"""The process that tells MLflow: it reads messages, one JSON object a line, and answers in the same way."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from typing import IO, Any

from ganlab_mlflow.failures import failure, place

OPENING_SECONDS = 180
"""How long MLflow may take for its first answer."""
IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""How the first requests are made, where the user has not said otherwise: a wrong address is to be known soon. Later
ones have MLflow's own time, in which a server may start again."""

Inbox = SimpleQueue[dict[str, Any]]


def main() -> None:
    """Tell MLflow what comes, until nothing more does."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # its life ends with that of the run, which may have something to say
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what MLflow prints is no answer
    inbox: Inbox = SimpleQueue()
    # Messages are read at once, whatever MLflow is at: the run must never wait to be rid of them.
    threading.Thread(target=_read, args=(inbox,), daemon=True).start()
    opening = inbox.get()
    if opening["about"] != "open":  # the run has ended before it began
        return
    try:
        with _in_time(answers, opening["tracking_uri"]):
            from ganlab_mlflow.telling import Telling

            telling = Telling(opening)
        _say(answers, run_id=telling.run_id)
        telling.tell(inbox)
        _say(answers, done=True)
    # MLflow, its stores and their drivers raise whatever they like; the run says it.
    except Exception as error:  # noqa: BLE001
        _say(answers, failure=failure(error, opening["tracking_uri"]))


def _read(inbox: Inbox) -> None:
    for line in sys.stdin.buffer:
        if line.endswith(b"\n"):  # else the run was killed in the middle of it
            inbox.put(json.loads(line))
    inbox.put({"about": "end", "status": "KILLED"})  # reached where the run was killed before it could say how it ends


def _say(answers: IO[str], **answer: object) -> None:
    with suppress(BrokenPipeError):  # the run is gone, and MLflow gets the rest all the same
        print(json.dumps(answer), file=answers, flush=True)


@contextmanager
def _in_time(answers: IO[str], uri: str | None) -> Iterator[None]:
    """Have the first requests made impatiently, and end the process where they take too long all the same."""

    def give_up() -> None:
        _say(answers, failure=f"{place(uri)} has not answered within {OPENING_SECONDS} seconds")
        os._exit(1)

    watch = threading.Timer(OPENING_SECONDS, give_up)
    watch.daemon = True
    watch.start()
    added = {name: value for name, value in IMPATIENT.items() if name not in os.environ}
    os.environ.update(added)
    yield
    for name in added:
        del os.environ[name]
    watch.cancel()


if __name__ == "__main__":
    main()
