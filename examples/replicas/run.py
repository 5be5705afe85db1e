#!/usr/bin/env python3
"""Three gateways with one Redis and one Postgres; one of them is killed under load.

Exit code 0 if nothing was lost.
"""

import argparse
import contextlib
import glob
import http.client
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

CALLERS = {"alice": "sk-a", "bob": "sk-b", "carol": "sk-c"}
# who asks what others know, with a budget of her own
LATER = ("dora", "sk-d")
# of each caller a day: some of the calls come too late
TOKENS = 3_000
CALLS = 600
THREADS = 12
# a reservation of a process that died is charged when this is over
LEASE = 60
# records of a dead gateway that were not written yet: a batch, and what came while that was written
UNWRITTEN = 100


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find(program, *places):
    found = shutil.which(program) or next(
        (path for place in places for path in sorted(glob.glob(place + "/" + program))), None
    )
    if found is None:
        raise SystemExit(f"{program} is not installed: make servers")
    return found


@contextlib.contextmanager
def running(command, until=None, **more):
    """A program, until it has printed this; ended at the end."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE if until else None, text=True, **more)
    try:
        address = None
        if until:
            for line in process.stdout:
                found = re.search(until, line)
                if found:
                    address = found.group()
                    break
            else:
                raise SystemExit(f"{command[0]} did not start")
        yield process, address
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=60)


@contextlib.contextmanager
def redis(folder):
    port = free_port()
    program = find("redis-server", "/opt/homebrew/bin", "/usr/local/bin")
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    with running(command + ["--logfile", str(folder / "log")]):
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if time.monotonic() > deadline:
                raise SystemExit("Redis does not listen")
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}"


@contextlib.contextmanager
def postgres(folder):
    """On a Unix socket in its folder. It refuses to run as root."""
    initdb = find(
        "initdb", "/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin"
    )
    # a link may stand where its neighbours are not
    initdb = os.path.realpath(initdb)
    control = str(pathlib.Path(initdb).with_name("pg_ctl"))
    user = []
    if os.getuid() == 0:
        names = [entry.pw_name for entry in pwd.getpwall()]
        name = "postgres" if "postgres" in names else "nobody"
        shutil.chown(folder, name)
        user = ["runuser", "-u", name, "--"]
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    data = str(folder / "data")
    subprocess.run([*user, initdb, "-D", data, "-U", "postgres", "-A", "trust", "--no-sync"], **quiet)
    options = f"-k {folder} -c listen_addresses= -c fsync=off"
    start = [*user, control, "-D", data, "-w", "-l", str(folder / "log"), "-o", options]
    subprocess.run([*start, "start"], **quiet)
    try:
        yield f"postgresql:///postgres?host={folder}&user=postgres"
    finally:
        subprocess.run([*user, control, "-D", data, "-m", "immediate", "stop"], **quiet)


CONFIG = """
[auth]
keys_env = "GATEWAY_KEYS"
[[provider]]
name = "fake"
base_url = "{provider}"
api_key_env = "PROVIDER_KEY"
[retry]
[breaker]
[sse]
[budget]
per_user_tokens_per_day = {tokens}
store = "redis"
store_url_env = "REDIS_URL"
[cache]
store = "redis"
store_url_env = "REDIS_URL"
store_secret_env = "CACHE_SECRET"
[cost]
ledger = "postgres"
ledger_url_env = "POSTGRES_URL"
"""


class Callers:
    """Calls the gateways from several threads; a gateway that is gone is left for the next one."""

    def __init__(self, gateways):
        self.gateways = gateways
        self.lock = threading.Lock()
        self.answers = []
        self.refused = []
        self.broken = 0
        self.turn = 0

    def call(self, user, number):
        body = {
            "model": "gpt-6-sol",
            "stream": number % 4 == 0,
            "max_tokens": 60,
            "messages": [{"role": "user", "content": f"count from {number} to the next number"}],
        }
        if body["stream"]:
            body["stream_options"] = {"include_usage": True}
        for attempt in range(len(self.gateways)):
            gateway = self.gateways[(number // len(CALLERS) + attempt) % len(self.gateways)]
            try:
                text = ask(gateway + "/v1/chat/completions", body, CALLERS[user])
            except urllib.error.HTTPError as error:
                assert error.code == 429, (error.code, error.read())
                with self.lock:
                    self.refused.append((user, gateway))
                return
            except (OSError, http.client.HTTPException):
                # it died, perhaps with half an answer: what it had reserved stays reserved
                with self.lock:
                    self.broken += 1
                continue
            if body["stream"]:
                if not text.rstrip().endswith("data: [DONE]"):
                    with self.lock:
                        self.broken += 1
                    continue
                chunks = [line[6:] for line in text.splitlines() if line.startswith("data: {")]
                usage = next(filter(None, (json.loads(chunk).get("usage") for chunk in chunks[::-1])))
            else:
                usage = json.loads(text)["usage"]
            with self.lock:
                self.answers.append((user, gateway, usage["total_tokens"]))
            return
        raise AssertionError("no gateway answered")

    def run(self, calls, on_call):
        numbers = iter(range(calls))

        def work():
            while True:
                with self.lock:
                    number = next(numbers, None)
                if number is None:
                    return
                on_call(number)
                self.call(list(CALLERS)[number % len(CALLERS)], number)

        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def ask(url, body=None, key=None):
    headers = {"content-type": "application/json"}
    if key:
        headers["authorization"] = "Bearer " + key
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as answer:
        return answer.read().decode()


def held_over_all(callers, urls, survivors):
    """One limit for each user, whichever gateway enforces it; and what was answered is charged."""
    for user in CALLERS:
        served = {gateway for who, gateway, _ in callers.answers if who == user}
        assert served == set(urls), f"{user} was not served by all three: {served}"
        assert any(who == user for who, _ in callers.refused), f"{user} did not come to the limit"
    accounts = accounts_of(survivors[0])
    # what the dead gateway had reserved is not free again, and is charged when its lease is over
    until = time.monotonic() + LEASE + 30
    died_with = sum(account["reserved"] for account in accounts.values())
    while any(account["reserved"] for account in accounts.values()):
        assert time.monotonic() < until, ("reserved for ever", accounts)
        time.sleep(1)
        accounts = accounts_of(survivors[0])
    print(f"{died_with} tokens were reserved by the gateway that died, and are charged now")
    assert accounts == accounts_of(survivors[1]), "two gateways see two budgets"
    for user, account in accounts.items():
        spent = sum(tokens for who, _, tokens in callers.answers if who == user)
        print(f"{user}: {spent} tokens in answers, {account['used']} charged, of {TOKENS}")
        assert spent <= account["used"] <= TOKENS, account
        # a fresh account would have room for this
        more = TOKENS // 4
        assert account["remaining"] < more, account
        for gateway in survivors:
            assert is_refused(gateway, more, CALLERS[user]), f"{user} has more at {gateway}"
            callers.refused.append((user, gateway))


def accounts_of(gateway):
    accounts = json.loads(ask(gateway + "/budgets"))["accounts"]
    return {one["owner"]: one for one in accounts if one["owner"] in CALLERS}


def is_refused(gateway, tokens, key):
    body = {"model": "gpt-6-sol", "messages": [{"role": "user", "content": "word " * tokens}]}
    try:
        ask(gateway + "/v1/chat/completions", body, key)
    except urllib.error.HTTPError as error:
        return error.code == 429
    return False


def kept_in_the_ledger(callers, survivors):
    """Every answer is in the ledger, user by user; of the dead gateway its last batch may be missing."""
    missing = 0
    for user in CALLERS:
        report = json.loads(ask(f"{survivors[1]}/report/users/{user}?days=2"))
        whole = [gateway for who, gateway, _ in callers.answers if who == user]
        by_survivors = sum(gateway in survivors for gateway in whole)
        refused = sum(who == user for who, _ in callers.refused)
        print(f"{user}: {report['requests']} calls in the ledger; {len(whole)} answered, {refused} refused")
        assert report["requests"] >= by_survivors + refused, (user, report["requests"], by_survivors, refused)
        missing += max(0, len(whole) + refused - report["requests"])
    assert missing <= UNWRITTEN, f"{missing} calls are in no book"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", type=pathlib.Path, required=True, help="where the programs were built")
    target = parser.parse_args().target.resolve()
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="replicas-")))
        folder.chmod(0o755)
        (folder / "redis").mkdir()
        (folder / "postgres").mkdir()
        redis_url = stack.enter_context(redis(folder / "redis"))
        postgres_url = stack.enter_context(postgres(folder / "postgres"))
        _, provider = stack.enter_context(
            running([target / "fake-provider", "--listen", "127.0.0.1:0"], r"http://127\.0\.0\.1:\d+")
        )
        config = folder / "gateway.toml"
        config.write_text(CONFIG.format(provider=provider, tokens=TOKENS))
        environment = {
            **os.environ,
            "GATEWAY_KEYS": ",".join(f"{user}={key}" for user, key in [*CALLERS.items(), LATER]),
            "PROVIDER_KEY": "sk-upstream",
            "REDIS_URL": redis_url,
            "POSTGRES_URL": postgres_url,
            "CACHE_SECRET": "a secret that the three gateways share",
            "RUST_LOG": "error",
        }
        gateways = [
            stack.enter_context(
                running(
                    [target / "gateway", "--config", config, "--listen", "127.0.0.1:0"],
                    r"http://127\.0\.0\.1:\d+",
                    env=environment,
                )
            )
            for _ in range(3)
        ]
        urls = [url for _, url in gateways]
        victim, survivors = gateways[1][0], [urls[0], urls[2]]
        callers = Callers(urls)

        def kill_in_the_middle(number):
            if number == CALLS // 2:
                victim.kill()

        callers.run(CALLS, kill_in_the_middle)
        print(
            f"{len(callers.answers)} answers, {len(callers.refused)} refused by the budget, "
            f"{callers.broken} broken off when a gateway was killed"
        )
        assert len(callers.answers) + len(callers.refused) == CALLS, "a call has neither answer nor refusal"
        assert victim.wait(timeout=10) == -signal.SIGKILL
        held_over_all(callers, urls, survivors)
        kept_in_the_ledger(callers, survivors)

        # what one knows, the other knows
        cached = {"model": "gpt-6-luna", "temperature": 0, "messages": [{"role": "user", "content": "one"}]}
        first, second = (cache_of(url, cached, LATER[1]) for url in survivors)
        print(f"the same call at two gateways: {first}, {second}")
        assert first == "miss" and second == "hit", (first, second)

        # one node's quantiles from two
        exports = []
        for index, url in enumerate(survivors):
            path = folder / f"{index}.hlog"
            path.write_text(ask(url + "/report/latency/export"))
            exports.append(path)
        merged = subprocess.run(
            [target / "examples" / "merge_latencies", *exports], check=True, capture_output=True, text=True
        ).stdout
        print(merged.strip())
        counted = int(re.search(r"gpt-6-sol at \S+: (\d+) calls", merged).group(1))
        by_survivors = sum(gateway in survivors for _, gateway, _ in callers.answers)
        assert counted == by_survivors, (counted, by_survivors)
    print("nothing was lost")


def cache_of(url, body, key):
    """How the cache answered; a moment later, so that the first answer is kept."""
    request = urllib.request.Request(
        url + "/v1/chat/completions",
        json.dumps(body).encode(),
        {"content-type": "application/json", "authorization": "Bearer " + key},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
        status = answer.headers["x-llm-cache"]
    time.sleep(0.3)
    return status


if __name__ == "__main__":
    sys.exit(main())
