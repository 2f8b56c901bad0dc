"""A folder to the Hugging Face hub, in one commit."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ganlab.generator.remote import library, refusals


def push(folder: Path, repository: str, *, kind: Literal["model", "space"], private: bool, revision: str | None) -> str:
    """Make the repository where it is not there, and put all files of `folder` into it by one commit; return its URL.

    Raises `GanlabError` with the remedy where the hub refuses or cannot be reached: then nothing is visible there.
    """
    hub = library()
    of_space = {"space_sdk": "static"} if kind == "space" else {}
    with refusals(repository, "push to"):
        api = hub.HfApi(library_name="ganlab")
        url = api.create_repo(repository, repo_type=kind, private=private, exist_ok=True, **of_space)
        if revision is not None:
            api.create_branch(repository, branch=revision, repo_type=kind, exist_ok=True)
        api.upload_folder(
            repo_id=repository,
            folder_path=str(folder),
            repo_type=kind,
            revision=revision,
            commit_message="Upload a generator trained by ganlab",
        )
    return str(url)
