"""What has gone wrong between a run and MLflow, in one sentence that gives no password away."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

SQLITE = "sqlite:///"


class RefusedError(Exception):
    """A sentence for the user: what MLflow cannot do with what it was given, and what to do instead."""


def failure(error: Exception, uri: str | None) -> str:
    """Return what to say of what MLflow, a store of its or a driver of that has raised."""
    if isinstance(error, RefusedError):
        return str(error)
    text = str(error)
    if "MLFLOW_ALLOW_FILE_STORE" in text:
        return (
            f"MLflow keeps runs in a folder, as {place(uri)} is, no more: name a database instead, such as "
            'tracking_uri = "sqlite:///mlflow.db", or set MLFLOW_ALLOW_FILE_STORE=true'
        )
    if reason := _unanswered(error):
        return f"no MLflow server answers at {place(uri)} ({reason}): is it up, and is tracking_uri right?"
    if isinstance(error, ModuleNotFoundError):
        return f"{place(uri)} needs the package {error.name}, which is not installed"
    return without_password(f"{type(error).__name__}: {text}", uri)


def place(uri: str | None) -> str:
    """Return where runs are kept, as it may be shown to anybody."""
    told = uri or os.environ.get("MLFLOW_TRACKING_URI")
    return without_password(told, told) if told else "MLflow's own place"


def without_password(text: str, uri: str | None) -> str:
    """Return the text with stars where it has the password of an address."""
    secret = password(uri or os.environ.get("MLFLOW_TRACKING_URI", ""))
    return text.replace(secret, "***") if secret else text


def password(uri: str) -> str | None:
    """Return the password in an address, if it has one."""
    try:
        return urlsplit(uri).password
    except ValueError:  # no address
        return None


def refuse_unwritable(uri: str) -> None:
    """Raise `RefusedError` where SQLite cannot write a database: MLflow would try again for minutes."""
    if not uri.startswith(SQLITE):
        return
    file = Path(uri.removeprefix(SQLITE).partition("?")[0]).absolute()
    there = next(path for path in (file, *file.parents) if path.exists())
    fits = there.is_file() if there == file else there.is_dir()
    if not fits or not os.access(there, os.W_OK):
        raise RefusedError(f"no database can be written at {file}: {there} cannot be written to")


def _unanswered(error: Exception) -> str:
    """Return in a word why a server has not answered; nothing where that is not what is wrong."""
    from requests import RequestException
    from urllib3.exceptions import MaxRetryError

    causes = list(_causes(error))
    if not any(isinstance(cause, RequestException) for cause in causes):
        return ""
    deeper = next((cause.reason for cause in causes if isinstance(cause, MaxRetryError)), None)
    return type(deeper or causes[-1]).__name__


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
