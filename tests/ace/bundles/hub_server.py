"""A server on loopback that speaks as much of the Hugging Face Hub's API as a download needs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REVISION = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server serves, and what it has seen.

    Attributes:
        repository: the only one that there is.
        files: path -> content as the metadata describe it.
        served: path -> other content that is sent instead (damage).
        cut: path -> for each coming request, the number of bytes after which the connection breaks.
        status: path -> HTTP status that is answered instead of the content.
        ignore_range: answer every request with the whole file.
        cdn: base address that large files are redirected to.
        requests: (path, Range header or None, whether an authorization came with it) of all file requests.
    """

    repository: str
    files: dict[str, bytes]
    served: dict[str, bytes] = field(default_factory=dict)
    cut: dict[str, list[int]] = field(default_factory=dict)
    status: dict[str, int] = field(default_factory=dict)
    ignore_range: bool = False
    cdn: str | None = None
    requests: list[tuple[str, str | None, bool]] = field(default_factory=list)
    url: str = ""

    def sibling(self, path: str) -> dict:
        content = self.files[path]
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry = {"rfilename": path, "size": len(content), "blobId": blob}
        if path.endswith((".pth", ".bin", ".safetensors", ".model")):
            entry["lfs"] = {"size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "pointerSize": 130}
        return entry


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *args):
        pass

    def do_GET(self):
        path = self.path.partition("?")[0]
        hub = self.hub
        if path == f"/api/models/{hub.repository}":
            self._json({"id": hub.repository, "sha": REVISION, "siblings": [hub.sibling(p) for p in hub.files]})
        elif path.startswith(prefix := f"/{hub.repository}/resolve/{REVISION}/"):
            self._file(path.removeprefix(prefix), redirect=hub.cdn)
        elif path.startswith("/cdn/"):
            self._file(path.removeprefix("/cdn/"), redirect=None)
        else:
            self._json({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})

    def _json(self, value, status=200, headers=()):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, text in dict(headers).items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def _file(self, path, redirect):
        hub = self.hub
        if redirect:
            self.send_response(302)
            self.send_header("Location", f"{redirect}/cdn/{path}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        requested = self.headers.get("Range")
        hub.requests.append((path, requested, "Authorization" in self.headers))
        if path in hub.status:
            self._json({"error": "no"}, hub.status[path])
            return
        content = hub.served.get(path, hub.files[path])
        start = int(requested.removeprefix("bytes=").rstrip("-")) if requested and not hub.ignore_range else 0
        body = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        cuts = hub.cut.get(path)
        self.wfile.write(body[: cuts.pop(0)] if cuts else body)
        if len(body) and cuts is not None:
            self.close_connection = True


@contextlib.contextmanager
def serve(hub: Hub):
    """Runs the server in a thread; ``hub.url`` is its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
