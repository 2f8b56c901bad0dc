"""A hub for tests: what huggingface_hub asks of one over HTTP, on this machine, with files in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_a_secret_that_nobody_may_see"
COMMIT = "c" * 40


class Hub:
    """Repositories with their files, who may do what, and what was asked."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.kinds: dict[str, dict[str, Any]] = {}
        self.stored: dict[str, bytes] = {}
        """What was uploaded before its commit, by SHA-256."""
        self.commits = 0
        self.asked: list[str] = []
        self.refused: dict[str, int] = {}
        """HTTP statuses by a part of the path."""
        self.url = ""


@contextmanager
def open_hub() -> Iterator[Hub]:
    """Serve a hub until the block ends."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """Say nothing."""

        def answer(self, status: int, body: object = b"", **headers: str) -> None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(data)), **headers}.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            hub.asked.append(f"{self.command} {self.path}")
            for part, status in hub.refused.items():
                if part in self.path:
                    self.answer(status, {"error": "refused"})
                    return
            respond(hub, self, body)

        do_GET = do_POST = do_PUT = do_HEAD = handle_one  # noqa: N815  # the names by which http.server calls

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def respond(hub: Hub, request: Any, body: bytes) -> None:
    """Answer one request as a hub does."""
    path, allowed = request.path.partition("?")[0], request.headers.get("Authorization") == f"Bearer {TOKEN}"
    writing = request.command != "HEAD" and request.command != "GET" and "validate-yaml" not in path
    if writing and not path.startswith("/upload/") and not allowed:
        request.answer(401, {"error": "Invalid credentials"})
    elif path == "/api/repos/create":
        wanted = json.loads(body)
        name = f"{wanted['organization']}/{wanted['name']}"
        known = name in hub.repositories
        hub.repositories.setdefault(name, {})
        hub.kinds.setdefault(name, wanted)
        request.answer(409 if known else 200, {"url": f"{hub.url}/{name}", "error": "You already created this"})
    elif path == "/api/validate-yaml":
        request.answer(200, {"errors": [], "warnings": []})
    elif found := re.fullmatch(r"/api/(?:models|spaces)/([^/]+/[^/]+)/preupload/[^/]+", path):
        files = [
            {"path": file["path"], "uploadMode": "lfs" if file["path"].endswith(".safetensors") else "regular"}
            for file in json.loads(body)["files"]
        ]
        request.answer(200, {"files": [file | {"shouldIgnore": False, "oid": None} for file in files]})
    elif found := re.fullmatch(r"(?:/spaces)?/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
        objects = [
            one | {"actions": {"upload": {"href": f"{hub.url}/upload/{one['oid']}"}}}
            for one in json.loads(body)["objects"]
        ]
        request.answer(200, {"transfer": "basic", "objects": objects})
    elif path.startswith("/upload/"):
        digest = hashlib.sha256(body).hexdigest()
        hub.stored[digest] = body
        request.answer(200 if path.endswith(digest) else 400)
    elif found := re.fullmatch(r"/api/(?:models|spaces)/([^/]+/[^/]+)/commit/[^/]+", path):
        commit(hub, found[1], body)
        url = f"{hub.url}/{found[1]}/commit/{COMMIT}"
        request.answer(200, {"success": True, "commitOid": COMMIT, "commitUrl": url, "hookOutput": ""})
    elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
        resolve(hub, request, found[1], found[3])
    else:
        request.answer(404, {"error": "not found"})


def commit(hub: Hub, repository: str, body: bytes) -> None:
    """Take over all files of a commit at once."""
    files = {}
    for line in map(json.loads, body.splitlines()):
        if line["key"] == "file":
            files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        elif line["key"] == "lfsFile":
            files[line["value"]["path"]] = hub.stored[line["value"]["oid"]]
    hub.repositories[repository] |= files
    hub.commits += 1


def resolve(hub: Hub, request: Any, repository: str, name: str) -> None:
    """Send a file, or what is known of it."""
    if repository not in hub.repositories:
        request.answer(404, X_Error_Code="RepoNotFound")
    elif name not in hub.repositories[repository]:
        request.answer(404, X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
    else:
        data = hub.repositories[repository][name]
        request.answer(200, data, ETag=f'"{hashlib.sha256(data).hexdigest()}"', X_Repo_Commit=COMMIT)
