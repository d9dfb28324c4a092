"""A small OpenAI-compatible server in a process of its own, which can be told to misbehave.

    python chat_server.py PORT FOLDER

It writes a line for each chat request to FOLDER/log and reads how to behave from FOLDER/mode, a
JSON object, at each request; an empty one is an ordinary server. A sample depends on its prompt and
seed alone: `answer_of`.
"""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WINDOW = 4096


def answer_of(content: str, seed: int) -> str:
    return f"\\boxed{{{hashlib.md5(f'{content}{seed}'.encode()).hexdigest()[:6]}}}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder: Path
    lock = threading.Lock()
    num_requests = 0
    num_open = 0

    def do_GET(self) -> None:
        if self.mode().get("no_models"):
            self.reply(404, {"error": "Not Found"})
            return
        models = self.mode().get("models", ["tiny"])
        window = {} if self.mode().get("no_window") else {"max_model_len": WINDOW}
        self.reply(200, {"data": [{"id": name, "object": "model", **window} for name in models]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            text = "".join(message["content"] for message in body["messages"])
            if self.mode().get("no_tokenize"):
                self.reply(404, {"error": "Not Found"})
            else:
                self.reply(200, {"count": len(text.split()), "max_model_len": WINDOW})
            return
        with self.lock:
            Handler.num_requests += 1
            Handler.num_open += 1
            number, num_open = Handler.num_requests, Handler.num_open
        try:
            self.chat(body, number, num_open)
        finally:
            with self.lock:
                Handler.num_open -= 1

    def chat(self, body: dict[str, Any], number: int, num_open: int) -> None:
        content = body["messages"][-1]["content"]
        mode = self.mode()
        fault = self.fault(mode, number, content)
        line = {"content": content, "n": body["n"], "seed": body["seed"], "open": num_open}
        with self.lock, (self.folder / "log").open("a") as log:
            log.write(json.dumps({**line, "fault": fault, **body.get("noted", {})}) + "\n")
        time.sleep(mode.get("delay", 0))
        if fault == "drop":
            self.close_connection = True
            self.connection.close()
            return
        if fault == "html":
            self.reply(200, "<html>busy</html>")
            return
        if fault == "empty":
            self.reply(200, {"id": "x", "object": "chat.completion", "choices": []})
            return
        if fault:
            headers = {"Retry-After": "1"} if fault == 429 else {}
            key = self.headers["Authorization"]
            self.reply(fault, {"error": {"message": f"fault {fault} for {key}"}}, headers)
            return
        if len(content.split()) > WINDOW - body["max_tokens"]:
            message = f"This model's maximum context length is {WINDOW} tokens."
            self.reply(400, {"error": {"message": message}})
            return
        count = 1 if mode.get("ignores_n") else body["n"]
        choices = [
            {
                "index": k,
                "finish_reason": mode.get("reason", "stop"),
                "message": {
                    "role": "assistant",
                    "content": answer_of(content, body["seed"] + k),
                    **({"reasoning_content": "hm"} if mode.get("thinks") else {}),
                },
            }
            for k in range(count)
        ]
        usage = {"completion_tokens": 5 * count + 1, "prompt_tokens": 1, "total_tokens": 0}
        self.reply(200, {"id": "x", "object": "chat.completion", "created": 0, "model": "tiny",
                         "choices": choices, "usage": usage})  # fmt: skip

    @staticmethod
    def fault(mode: dict[str, Any], number: int, content: str) -> Any:
        if content in mode.get("poison", []):
            return mode.get("poison_status", 500)
        if "all" in mode:
            return mode["all"]
        faults = mode.get("faults", [])
        return faults[number % len(faults)] if faults else None

    def mode(self) -> dict[str, Any]:
        path = self.folder / "mode"
        return json.loads(path.read_text()) if path.exists() else {}

    def reply(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


if __name__ == "__main__":
    Handler.folder = Path(sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
    server.daemon_threads = True
    print("ready", flush=True)
    server.serve_forever()
