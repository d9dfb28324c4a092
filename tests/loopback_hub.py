"""A Hub on 127.0.0.1 that the real clients push to and load from, for tests without network.

It speaks what datasets.push_to_hub, load_dataset and snapshot_download send: repos, branches, pull
requests, commits with parents, LFS (single and multipart), trees, and files. LFS files answer with
a redirect to "localhost", another host than "127.0.0.1", as the Hub's CDN is another host.
Everything lives in memory. The clients read the endpoint at import: give `env(home)` to a process.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

TOKEN = "hf_loopbacktokenloopbacktoken"
LFS_SUFFIXES = (".parquet", ".arrow", ".safetensors", ".bin", ".onnx", ".h5", ".msgpack", ".gguf")


def sha1(*parts: str | bytes) -> str:
    digest = hashlib.sha1()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.encode())
    return digest.hexdigest()


def git_oid(content: bytes) -> str:
    return sha1(f"blob {len(content)}\0", content)


@dataclass
class Repo:
    """The files of each commit, and the commit of each branch or pull request."""

    type: str  # "model", "dataset", "space"
    id: str
    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.add_commit("main", {}, "initial commit")

    def add_commit(self, ref: str, files: dict[str, bytes], message: str) -> str:
        sha = sha1(self.id, ref, message, str(len(self.commits)))
        self.commits[sha] = files
        self.refs[ref] = sha
        self.messages.append(message)
        return sha

    def sha(self, revision: str) -> str | None:
        return self.refs.get(revision) or (revision if revision in self.commits else None)

    def files(self, revision: str = "main") -> dict[str, bytes]:
        return self.commits[self.sha(revision) or ""]

    def text(self, path: str = "README.md", revision: str = "main") -> str:
        return self.files(revision)[path].decode()


@dataclass
class Fault:
    """Answer `status` to the next `times` requests of this method whose path matches."""

    method: str
    pattern: str
    status: int
    times: int = 1
    message: str = ""

    def hits(self, method: str, path: str) -> bool:
        hit = self.times > 0 and method == self.method and re.search(self.pattern, path) is not None
        self.times -= hit
        return hit


class LoopbackHub:
    """`with LoopbackHub() as hub:` serves `hub.repos` at `hub.url` and records `hub.requests`.

    `hub.put(...)` is a commit by somebody else; `hub.fail(...)` injects a fault; `before_commit`
    is called once, ahead of the next commit, to bring in a concurrent change.
    """

    def __init__(self, *, part_size: int | None = None) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.requests: list[tuple[str, str]] = []
        self.leaks: list[str] = []  # paths on the other host that were sent a token
        self.faults: list[Fault] = []
        self.blobs: dict[str, bytes] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.part_size = part_size  # files above it are uploaded in parts
        self.before_commit: Callable[[], object] | None = None
        self.lock = threading.RLock()

        self.connections: list[socket.socket] = []
        self.port = 0  # chosen by the first start, kept by the next

    def start(self) -> LoopbackHub:
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", self.port), handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        return self

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        for connection in self.connections:  # kept alive by the clients
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    __enter__ = start

    def __exit__(self, *_: object) -> None:
        self.stop()

    def env(self, home: object, token: str = TOKEN) -> dict[str, str]:
        """Return the environment that a client process needs before its first import."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_TOKEN": token,
            "HF_HOME": str(home),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_UPDATE_DOWNLOAD_COUNTS": "0",
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }

    def fail(
        self, method: str, pattern: str, status: int, times: int = 1, message: str = ""
    ) -> Fault:
        self.faults.append(Fault(method, pattern, status, times, message))
        return self.faults[-1]

    def put(
        self, repo_type: str, repo_id: str, files: dict[str, str | bytes], ref: str = "main"
    ) -> Repo:
        repo = self.repos.setdefault((repo_type, repo_id), Repo(repo_type, repo_id))
        new = {k: v.encode() if isinstance(v, str) else v for k, v in files.items()}
        repo.add_commit(ref, repo.files(ref) | new, "by somebody else")
        return repo

    def dataset(self, repo_id: str) -> Repo:
        return self.repos["dataset", repo_id]

    def count(self, method: str, pattern: str) -> int:
        return sum(m == method and re.search(pattern, p) is not None for m, p in self.requests)


class Answer(Exception):
    """Ends the handling of a request with this response."""

    def __init__(
        self, status: int, body: Any = b"", code: str = "", headers: dict[str, str] | None = None
    ) -> None:
        self.status = status
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.headers = {"X-Error-Code": code} if code else {}
        self.headers |= headers or {}


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # headers and body in one packet: 40 ms less per answer

    ROUTES = (
        ("POST", r"/api/repos/create", "create_repo"),
        ("POST", r"/api/validate-yaml", "validate_yaml"),
        ("GET", r"/api/(model|dataset|space)s/(.+?)/tree/([^/]+)(?:/(.*))?", "tree"),
        ("POST", r"/api/(model|dataset|space)s/(.+?)/paths-info/([^/]+)", "paths_info"),
        ("POST", r"/api/(model|dataset|space)s/(.+?)/preupload/([^/]+)", "preupload"),
        ("POST", r"/api/(model|dataset|space)s/(.+?)/commit/([^/]+)", "commit"),
        ("POST", r"/api/(model|dataset|space)s/(.+?)/branch/([^/]+)", "branch"),
        ("GET", r"/api/(model|dataset|space)s/(.+?)(?:/revision/([^/]+))?", "info"),
        ("POST", r"/(?:(dataset|space)s/)?(.+?)\.git/info/lfs/objects/batch", "lfs_batch"),
        ("PUT", r"/lfs/([0-9a-f]{64})(?:/(\d+))?", "lfs_put"),
        ("POST", r"/lfs/([0-9a-f]{64})/(complete|verify)", "lfs_finish"),
        ("GET", r"/cdn/([0-9a-f]{64})", "cdn"),
        ("GET", r"/(?:(dataset|space)s/)?(.+?)/resolve/([^/]+)/(.+)", "resolve"),
    )

    def setup(self) -> None:
        super().setup()
        self.hub.connections.append(self.connection)

    def log_message(self, *_: object) -> None:
        pass

    def handle_request(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.payload = self.rfile.read(length)
        url = urlsplit(self.path)
        self.query = {k: v[0] for k, v in parse_qs(url.query).items()}
        try:
            with self.hub.lock:
                self.route(url.path)
        except Answer as answer:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in answer.headers:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = handle_request

    def route(self, path: str) -> None:
        self.hub.requests.append((self.command, path))
        for fault in self.hub.faults:
            if fault.hits(self.command, path):
                raise Answer(fault.status, {"error": fault.message}, headers={"Retry-After": "0"})
        method = "GET" if self.command == "HEAD" else self.command
        for verb, pattern, name in self.ROUTES:
            match = re.fullmatch(pattern, path)
            if match and verb == method:
                groups = (g if g is None else unquote(g) for g in match.groups())
                raise getattr(self, name)(*groups)
        raise Answer(404, {"error": f"no route for {self.command} {path}"})

    # --- access ---

    @property
    def authorised(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def require_token(self) -> None:
        if not self.authorised:
            raise Answer(401, {"error": "Invalid username or password."})

    def repo(self, repo_type: str | None, repo_id: str) -> Repo:
        repo = self.hub.repos.get((repo_type or "model", repo_id))
        if repo is None or (repo.private and not self.authorised):
            raise Answer(404 if self.authorised else 401, {"error": "no repo"}, "RepoNotFound")
        return repo

    def at(self, repo_type: str | None, repo_id: str, revision: str) -> tuple[Repo, str]:
        repo = self.repo(repo_type, repo_id)
        sha = repo.sha(revision)
        if sha is None:
            raise Answer(404, {"error": f"Invalid rev id: {revision}"}, "RevisionNotFound")
        return repo, sha

    def json(self) -> Any:
        return json.loads(self.payload or b"{}")

    # --- repos and trees ---

    def create_repo(self) -> Answer:
        self.require_token()
        body = self.json()
        kind = body.get("type") or "model"
        repo_id = f"{body.get('organization') or 'me'}/{body['name']}"
        prefix = "" if kind == "model" else f"{kind}s/"
        answer = {"url": f"{self.hub.url}/{prefix}{repo_id}", "name": repo_id}
        if (kind, repo_id) in self.hub.repos:
            return Answer(409, answer | {"error": "You already created this repo"})
        private = body.get("visibility") == "private"
        self.hub.repos[kind, repo_id] = Repo(kind, repo_id, private=private)
        return Answer(200, answer)

    def validate_yaml(self) -> Answer:
        return Answer(200, {"errors": [], "warnings": []})

    def info(self, kind: str, repo_id: str, revision: str | None) -> Answer:
        repo, sha = self.at(kind, repo_id, revision or "main")
        files = [{"rfilename": path} for path in sorted(repo.commits[sha])]
        info = {"id": repo_id, "sha": sha, "private": repo.private, "siblings": files, "tags": []}
        return Answer(200, info)

    def entry(self, path: str, content: bytes) -> dict[str, Any]:
        entry: dict[str, Any] = {"type": "file", "path": path, "size": len(content)}
        entry["oid"] = git_oid(content)
        if path.endswith(LFS_SUFFIXES):
            oid = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 134}
        return entry

    def tree(self, kind: str, repo_id: str, revision: str, folder: str | None) -> Answer:
        repo, sha = self.at(kind, repo_id, revision)
        files = repo.commits[sha]
        prefix = f"{folder}/" if folder else ""
        inside = {path: data for path, data in files.items() if path.startswith(prefix)}
        if folder and not inside:
            raise Answer(404, {"error": "no such folder"}, "EntryNotFound")
        recursive = self.query.get("recursive", "").lower() == "true"
        entries: dict[str, dict[str, Any]] = {}
        for path, data in sorted(inside.items()):
            names = path[len(prefix) :].split("/")
            for depth in range(1, len(names) if recursive else min(2, len(names))):
                sub = prefix + "/".join(names[:depth])
                entries[sub] = {"type": "directory", "path": sub, "oid": sha1(sub), "size": 0}
            if recursive or len(names) == 1:
                entries[path] = self.entry(path, data)
        return Answer(200, list(entries.values()))

    def paths_info(self, kind: str, repo_id: str, revision: str) -> Answer:
        repo, sha = self.at(kind, repo_id, revision)
        files = repo.commits[sha]
        if self.headers.get("Content-Type", "").startswith("application/json"):
            paths = self.json()["paths"]
        else:
            paths = parse_qs(self.payload.decode())["paths"]
        found = [self.entry(path, files[path]) for path in paths if path in files]
        for path in paths:
            if path not in files and any(name.startswith(f"{path}/") for name in files):
                found.append({"type": "directory", "path": path, "oid": sha1(path), "size": 0})
        return Answer(200, found)

    # --- commits ---

    def branch(self, kind: str, repo_id: str, name: str) -> Answer:
        self.require_token()
        repo = self.repo(kind, repo_id)
        if name in repo.refs:
            return Answer(409, {"error": "Reference already exists"})
        repo.refs[name] = repo.refs["main"]
        return Answer(200, {})

    def preupload(self, kind: str, repo_id: str, revision: str) -> Answer:
        self.require_token()
        repo, sha = self.at(kind, repo_id, revision)
        modes = []
        for file in self.json()["files"]:
            path, old = file["path"], repo.commits[sha].get(file["path"])
            lfs = path.endswith(LFS_SUFFIXES)
            oid = None if old is None else hashlib.sha256(old).hexdigest() if lfs else git_oid(old)
            mode = {"path": path, "uploadMode": "lfs" if lfs else "regular", "oid": oid}
            modes.append(mode | {"shouldIgnore": False})
        return Answer(200, {"files": modes})

    def commit(self, kind: str, repo_id: str, revision: str) -> Answer:
        self.require_token()
        callback, self.hub.before_commit = self.hub.before_commit, None
        if callback is not None:
            callback()
        repo, sha = self.at(kind, repo_id, revision)
        lines = [json.loads(line) for line in self.payload.splitlines()]
        header = lines[0]["value"]
        if self.query.get("create_pr") == "1":
            revision = f"refs/pr/{1 + sum(ref.startswith('refs/pr/') for ref in repo.refs)}"
            sha = repo.sha(header.get("parentCommit") or sha) or sha
        elif header.get("parentCommit", sha) != sha:
            return Answer(412, {"error": "A commit has happened since. Please refresh and retry."})
        files = dict(repo.commits[sha])
        for line in lines[1:]:
            self.apply(files, line["key"], line["value"])
        new = repo.add_commit(revision, files, header["summary"])
        prefix = f"{self.hub.url}/{'' if kind == 'model' else kind + 's/'}{repo_id}"
        answer = {"commitOid": new, "commitUrl": f"{prefix}/commit/{new}", "success": True}
        if self.query.get("create_pr") == "1":
            answer["pullRequestUrl"] = f"{prefix}/discussions/{revision.rpartition('/')[2]}"
        return Answer(200, answer)

    def apply(self, files: dict[str, bytes], key: str, value: dict[str, Any]) -> None:
        path = value["path"]
        if key == "file":
            files[path] = base64.b64decode(value["content"])
        elif key == "lfsFile":
            if value["oid"] not in self.hub.blobs:
                raise Answer(400, {"error": f"LFS object {value['oid']} was never uploaded"})
            files[path] = self.hub.blobs[value["oid"]]
        elif key == "deletedFile":
            if files.pop(path, None) is None:
                raise Answer(400, {"error": f"{path}: A file with this name doesn't exist"})
        else:
            raise Answer(400, {"error": f"no operation {key}"})

    # --- large files ---

    def lfs_batch(self, kind: str | None, repo_id: str) -> Answer:
        self.require_token()
        self.repo(kind, repo_id)
        objects = []
        for wanted in self.json()["objects"]:
            oid, size = wanted["oid"], wanted["size"]
            upload: dict[str, Any] = {"href": f"{self.hub.url}/lfs/{oid}"}
            if self.hub.part_size is not None and size > self.hub.part_size:
                upload["href"] += "/complete"
                count = -(-size // self.hub.part_size)
                urls = {str(i): f"{self.hub.url}/lfs/{oid}/{i}" for i in range(1, count + 1)}
                upload["header"] = {"chunk_size": str(self.hub.part_size)} | urls
            verify = {"href": f"{self.hub.url}/lfs/{oid}/verify"}
            stored = oid in self.hub.blobs
            actions = {} if stored else {"actions": {"upload": upload, "verify": verify}}
            objects.append({"oid": oid, "size": size} | actions)
        return Answer(200, {"transfer": "basic", "objects": objects})

    def lfs_put(self, oid: str, part: str | None) -> Answer:
        if self.headers.get("Authorization"):
            self.hub.leaks.append(self.path)
        if part is not None:
            self.hub.parts[oid, int(part)] = self.payload
            return Answer(200, headers={"ETag": f'"{sha1(self.payload)}"'})
        return self.store(oid, self.payload)

    def lfs_finish(self, oid: str, step: str) -> Answer:
        if step == "complete":
            numbers = [part["partNumber"] for part in self.json()["parts"]]
            return self.store(oid, b"".join(self.hub.parts[oid, number] for number in numbers))
        size = len(self.hub.blobs.get(oid, b""))
        return Answer(200 if size == self.json()["size"] else 422, {"size": size})

    def store(self, oid: str, content: bytes) -> Answer:
        if hashlib.sha256(content).hexdigest() != oid:
            return Answer(400, {"error": "the content does not have this hash"})
        self.hub.blobs[oid] = content
        return Answer(200, {})

    # --- files ---

    def resolve(self, kind: str | None, repo_id: str, revision: str, path: str) -> Answer:
        repo, sha = self.at(kind, repo_id, revision)
        headers = {"X-Repo-Commit": sha}
        content = repo.commits[sha].get(path)
        if content is None:
            raise Answer(404, {"error": "Entry not found"}, "EntryNotFound", headers)
        if not path.endswith(LFS_SUFFIXES):
            return self.ranged(content, headers | {"ETag": f'"{git_oid(content)}"'})
        oid = hashlib.sha256(content).hexdigest()
        self.hub.blobs[oid] = content
        headers |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content))}
        headers["Location"] = f"http://localhost:{self.hub.port}/cdn/{oid}?name={quote(path)}"
        return Answer(302, headers=headers)

    def cdn(self, oid: str) -> Answer:
        if self.headers.get("Authorization"):
            self.hub.leaks.append(self.path)
        return self.ranged(self.hub.blobs[oid], {"ETag": f'"{oid}"'})

    def ranged(self, content: bytes, headers: dict[str, str]) -> Answer:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if match is None:
            return Answer(200, content, headers=headers | {"Content-Length": str(len(content))})
        first, last = int(match[1]), min(int(match[2] or len(content)), len(content) - 1)
        if first > last:
            return Answer(416, headers={"Content-Range": f"bytes */{len(content)}"})
        headers |= {"Content-Range": f"bytes {first}-{last}/{len(content)}"}
        return Answer(206, content[first : last + 1], headers=headers)


class Client:
    """A process with the real clients: runs code with `hub` (our module), `datasets` and arguments.

    `run(code, **values)` returns the value of `result`, or raises ClientError with the name, the
    message, the causes and the printed traceback of what was raised. Warnings are errors there.
    """

    def __init__(self, env: dict[str, str], log: Path) -> None:
        self.log = log
        with log.open("wb") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, "-c", _CLIENT],
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **env},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
            )

    def run(self, code: str, **values: Any) -> Any:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([code, values]) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the client process ended: {self.log.read_text()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise ClientError(**answer["error"])
        return answer["result"]

    def close(self) -> None:
        self.process.communicate(timeout=30)


class ClientError(Exception):
    """What the code in the client process raised."""

    def __init__(self, name: str, message: str, causes: list[str], traceback: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name, self.message, self.causes, self.traceback = name, message, causes, traceback


_CLIENT = """
import json, sys, time, traceback, warnings
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.01))  # nobody waits for a back-off
warnings.simplefilter("error")
warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)  # huggingface_hub's upload
protocol, sys.stdout = sys.stdout, sys.stderr
import datasets
from rbic_hf import hub

def answer(code, values):
    names = {"hub": hub, "datasets": datasets, **values}
    try:
        exec(code, names)
    except Exception as err:
        causes, link = [], err.__cause__
        while link is not None:
            causes.append(type(link).__name__)
            link = link.__cause__
        shown = traceback.format_exc()
        name = type(err).__name__
        return {"error": dict(name=name, message=str(err), causes=causes, traceback=shown)}
    return {"result": names.get("result")}

for line in sys.stdin:
    print(json.dumps(answer(*json.loads(line))), file=protocol, flush=True)
"""
