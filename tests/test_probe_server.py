"""Rollouts from a real HTTP process that fails in every way a server fails."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import answer_of

import rbic_hf
from rbic_hf import ConfigError, ModelError, Sample
from rbic_hf.probers.server import ServerProber
from rbic_hf.protocols import MAX_IN_FLIGHT, MAX_LOST_PROMPTS
from rbic_hf.rollouts import Prompt, ask, missing, prompt_seed
from rbic_hf.store import Store


class Server:
    """The server process, its log, and how it is told to behave."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def start(self, **mode: Any) -> Server:
        self.behave(**mode)
        script = Path(__file__).with_name("chat_server.py")
        self.process = subprocess.Popen(
            [sys.executable, str(script), str(self.port), str(self.folder)],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        return self

    def behave(self, **mode: Any) -> None:
        unfinished = self.folder / "mode.new"
        unfinished.write_text(json.dumps(mode))
        unfinished.replace(self.folder / "mode")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    @property
    def log(self) -> list[dict[str, Any]]:
        path = self.folder / "log"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    own = Server(tmp_path / "server")
    yield own
    own.stop()


def prompts(count: int) -> list[Prompt]:
    return [[{"role": "user", "content": f"question {i}"}] for i in range(count)]


def expected(asked: list[Prompt], n: int) -> dict[int, list[str]]:
    return {
        i: [answer_of(p[0]["content"], prompt_seed(p, 0) + k) for k in range(n)]
        for i, p in enumerate(asked)
    }


def texts(prober: ServerProber, asked: list[Prompt], n: int = 2) -> dict[int, Any]:
    found = dict(prober.probe(asked, n=n, seeds=[prompt_seed(p, 0) for p in asked]))
    return {i: samples and [s.text for s in samples] for i, samples in found.items()}


def test_every_prompt_is_answered_once_and_samples_follow_their_seeds(server: Server) -> None:
    server.start(delay=0.02)
    asked = prompts(150)
    prober = ServerProber(server.url, max_in_flight=8)
    assert texts(prober, asked) == expected(asked, 2)
    assert len(server.log) == 150
    assert 2 <= max(line["open"] for line in server.log) <= 8
    assert prober.spec["prober"] == "tiny"
    assert server.url not in json.dumps(dict(prober.spec))


@pytest.mark.parametrize(
    ("mode", "sample"),
    [
        ({"reason": "length"}, Sample("said", "length", 5)),
        ({"reason": "content_filter"}, Sample("said", "filtered", 5)),
        ({"thinks": True}, Sample("<think>hm</think>said", "stop", 5)),
    ],
)
def test_reasons_and_thinking_arrive(server: Server, mode: dict[str, Any], sample: Sample) -> None:
    server.start(**mode)
    [(_, found)] = ServerProber(server.url).probe(prompts(1), n=2, seeds=[5])
    said = answer_of("question 0", 5)
    assert found is not None
    assert found[0] == Sample(
        sample.text.replace("said", said), sample.finish_reason, sample.num_tokens
    )
    assert found[1].num_tokens == 6  # 11 tokens in all, of two


def test_a_server_that_gives_one_sample_a_request_is_asked_again(server: Server) -> None:
    server.start(ignores_n=True)
    asked = prompts(3)
    assert texts(ServerProber(server.url), asked, n=3) == expected(asked, 3)
    assert len(server.log) == 9


@pytest.mark.parametrize("faults", [[503, None, None], [429, None], ["drop", None, 500, None]])
def test_a_server_that_fails_now_and_then_loses_nothing(server: Server, faults: list[Any]) -> None:
    server.start(faults=faults)
    asked = prompts(24)
    assert texts(ServerProber(server.url, max_in_flight=4), asked) == expected(asked, 2)


def test_a_server_that_is_down_for_a_while_loses_nothing(server: Server) -> None:
    server.start(all=503)
    threading.Timer(3.0, server.behave).start()
    asked = prompts(20)
    assert texts(ServerProber(server.url), asked) == expected(asked, 2)


def test_a_restart_in_the_middle_loses_nothing(server: Server) -> None:
    server.start(delay=0.1)
    asked = prompts(40)
    prober = ServerProber(server.url, max_in_flight=4)
    seeds = [prompt_seed(p, 0) for p in asked]
    found: dict[int, Any] = {}
    for place, samples in prober.probe(asked, n=2, seeds=seeds):
        found[place] = samples and [s.text for s in samples]
        if len(found) == 10:
            server.stop()
            threading.Timer(2.0, server.start).start()
    assert found == expected(asked, 2)


def test_one_dead_address_of_two_costs_nothing(server: Server, tmp_path: Path) -> None:
    server.start()
    dead = Server(tmp_path / "dead")
    asked = prompts(30)
    assert texts(ServerProber([dead.url, server.url]), asked) == expected(asked, 2)


def test_two_addresses_share_the_work(server: Server, tmp_path: Path) -> None:
    other = Server(tmp_path / "other")
    try:
        server.start(delay=0.05)
        other.start(delay=0.05)
        asked = prompts(40)
        assert texts(ServerProber([server.url, other.url]), asked) == expected(asked, 2)
        assert len(server.log) + len(other.log) == 40
        assert min(len(server.log), len(other.log)) >= 10
    finally:
        other.stop()


def test_a_server_that_stays_dead_ends_the_run_and_what_was_answered_is_kept(
    server: Server, tmp_path: Path
) -> None:
    server.start()
    asked = prompts(60)
    prober = ServerProber(server.url, max_in_flight=4, patience_s=2.0)
    store = Store(tmp_path / "store")

    class Stops:
        spec = prober.spec

        def probe(self, *args: Any, **kwargs: Any) -> Any:
            for number, answer in enumerate(prober.probe(*args, **kwargs)):
                yield answer
                if number == 30:
                    server.stop()

    wanted = missing(store, asked, n=2, seed=0)
    with pytest.raises(ModelError, match=r"no answer from http://127.* is kept"):
        ask(Stops(), store, wanted, seed=0)
    left = missing(Store(tmp_path / "store"), asked, n=2, seed=0)
    assert len(left.prompts) <= 60 - 31
    server.start()
    ask(prober, store, left, seed=0)
    assert missing(Store(tmp_path / "store"), asked, n=2, seed=0).prompts == []


def test_a_server_that_is_not_there_is_said_before_anything_is_asked(tmp_path: Path) -> None:
    away = Server(tmp_path / "away")
    with pytest.raises(ModelError, match=f"no answer from {away.url}"):
        _ = ServerProber(away.url).spec


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_everything_ends_at_once_without_the_key(server: Server, status: int) -> None:
    server.start(all=status)
    prober = ServerProber(server.url, api_key="my-secret-key")
    with pytest.raises(ModelError, match=f"refuses the requests.*fault {status}") as caught:
        texts(prober, prompts(20))
    shown = "".join(traceback.format_exception(caught.value))
    assert "my-secret-key" not in shown
    assert "my-secret-key" not in json.dumps(dict(prober.spec))


def test_requests_that_are_all_bad_end_the_run(server: Server) -> None:
    server.start(all=400)
    with pytest.raises(ModelError, match="fault 400"):
        texts(ServerProber(server.url), prompts(200))
    assert len(server.log) < 200


def test_a_window_without_room_for_a_prompt_is_an_error(server: Server) -> None:
    server.start()
    with pytest.raises(ModelError, match="leaves no room for a prompt in the 4096 tokens"):
        texts(ServerProber(server.url, max_new_tokens=4096), prompts(2))


@pytest.mark.parametrize("status", [400, 422, 500, 503, "drop", "html", "empty"])
def test_one_bad_prompt_is_left_alone_and_the_others_are_answered(
    server: Server, status: Any
) -> None:
    server.start(poison=["question 7"], poison_status=status)
    asked = prompts(12)
    prober = ServerProber(server.url, max_in_flight=4, patience_s=2.0)
    found = texts(prober, asked)
    assert found.pop(7) == ["", ""]
    assert found == {i: t for i, t in expected(asked, 2).items() if i != 7}
    # the next run asks it alone, when nothing else shows that the server lives
    assert texts(prober, [asked[7]]) == {0: ["", ""]}


def test_an_outage_is_no_failure_of_the_prompts(server: Server) -> None:
    server.start(all=500)
    threading.Timer(8.0, server.behave).start()
    asked = prompts(10)
    assert texts(ServerProber(server.url), asked) == expected(asked, 2)


def test_an_address_that_refuses_is_left_out_and_the_other_answers(
    server: Server, tmp_path: Path
) -> None:
    other = Server(tmp_path / "other")
    try:
        server.start()
        other.start(all=401)
        asked = prompts(20)
        prober = ServerProber([other.url, server.url], max_in_flight=4)
        assert texts(prober, asked) == expected(asked, 2)
        assert len(other.log) <= 4
    finally:
        other.stop()


@pytest.mark.parametrize("mode", [{}, {"no_tokenize": True}, {"no_window": True}])
def test_a_prompt_that_is_too_long_is_marked_and_its_neighbours_answered(
    server: Server, mode: dict[str, Any]
) -> None:
    server.start(**mode)
    asked = [*prompts(3), [{"role": "user", "content": "long " * 4000}]]
    found = texts(ServerProber(server.url, max_new_tokens=512), asked)
    assert found.pop(3) is None
    assert found == expected(asked[:3], 2)
    measured = not mode
    assert any("long" in line["content"] for line in server.log) != measured


def test_a_long_prompt_that_fits_is_sent(server: Server) -> None:
    server.start()
    asked: list[Prompt] = [[{"role": "user", "content": "long " * 3000}]]
    assert texts(ServerProber(server.url, max_new_tokens=512), asked) == expected(asked, 2)


def test_an_iterator_that_is_left_early_asks_no_further(server: Server) -> None:
    server.start(delay=0.05)
    answers = ServerProber(server.url, max_in_flight=4).probe(
        prompts(500), n=1, seeds=list(range(500))
    )
    next(iter(answers))
    answers.close()  # type: ignore[attr-defined]
    asked = len(server.log)
    time.sleep(0.5)
    assert len(server.log) <= asked <= 12


def test_it_works_where_an_event_loop_runs_already(server: Server) -> None:
    import asyncio

    server.start()
    asked = prompts(5)

    async def notebook_cell() -> dict[int, Any]:
        return texts(ServerProber(server.url), asked)

    assert asyncio.run(notebook_cell()) == expected(asked, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base_url": "localhost:8000"}, "is not accepted; give addresses"),
        ({"base_url": []}, "is not accepted; give addresses"),
        ({"base_url": "http://user:password@host/v1"}, "^an address must hold no password"),
    ],
)
def test_addresses_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ServerProber(**arguments)


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (["a", "b"], "serves a, b; name one"),
        ([], "serves nothing"),
    ],
)
def test_the_model_must_be_clear(server: Server, models: list[str], message: str) -> None:
    server.start(models=models)
    with pytest.raises(ConfigError, match=message):
        _ = ServerProber(server.url).spec


def test_a_named_model_needs_no_list_of_models(server: Server) -> None:
    server.start(no_models=True)
    prober = ServerProber(server.url, model="named")
    assert texts(prober, prompts(2)) == expected(prompts(2), 2)
    with pytest.raises(ModelError, match="no answer"):
        _ = ServerProber(server.url).spec


def test_a_dataset_is_scored_through_an_address(server: Server, dataset: Any, encoder: Any) -> None:
    server.start()
    config = rbic_hf.RbicConfig(num_neighbors=8, max_probe_rows=20, num_rollouts=2)
    scored = rbic_hf.score(dataset, config=config, encoder=encoder, prober=server.url)
    assert len(server.log) == 20
    assert scored["rbic_probe"].count("measured") >= 20
    rbic_hf.score(dataset, config=config, encoder=encoder, prober=server.url)
    assert len(server.log) == 20


KILLED = """
    import sys
    from pathlib import Path
    from rbic_hf.probers.server import ServerProber
    from rbic_hf.rollouts import ask, missing
    from rbic_hf.store import Store

    store = Store(Path(sys.argv[1]))
    prompts = [[{"role": "user", "content": f"question {i}"}] for i in range(300)]
    ask(ServerProber(sys.argv[2]), store, missing(store, prompts, n=2, seed=0), seed=0)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs a system that can kill")
def test_kill_9_costs_at_most_a_micro_batch(server: Server, tmp_path: Path) -> None:
    server.start(delay=0.2)
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path / "store"), server.url]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while len(server.log) < 150:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.3)
    asked_before = len(server.log)
    assert asked_before <= 300 - MAX_IN_FLIGHT
    server.behave()
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    assert len({line["content"] for line in server.log}) == 300
    assert len(server.log) - 300 <= MAX_LOST_PROMPTS
