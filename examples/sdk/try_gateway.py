#!/usr/bin/env python3
"""The official OpenAI and Anthropic clients through the gateway.

Starts the gateway on a free port with its own provider and runs every check below against it.
Exit code 0 if all passed.
"""

import argparse
import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import anthropic
import openai

PROMPT = [{"role": "user", "content": "Colour of a ripe lemon?"}]
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


class Gateway:
    """The gateway's binary on a free port."""

    def __init__(self, binary, arguments=(), environment=()):
        self.binary = binary
        self.process = subprocess.Popen(
            [binary, "--listen", "127.0.0.1:0", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **dict(environment), "RUST_LOG": "warn"},
        )
        self.url = None
        for line in self.process.stdout:
            found = re.search(r"http://127\.0\.0\.1:\d+", line)
            if found:
                self.url = found.group()
                break
        if self.url is None:
            raise SystemExit("the gateway printed no address")
        self.openai = openai.OpenAI(base_url=self.url + "/v1", api_key="sk-test", max_retries=0)
        self.anthropic = anthropic.Anthropic(base_url=self.url, api_key="sk-ant", max_retries=0)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)


@check
def openai_normal(gateway):
    answer = gateway.openai.chat.completions.create(model="gpt-6-sol", messages=PROMPT)
    assert answer.choices[0].message.content, answer
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens > 0


@check
def openai_streamed(gateway):
    stream = gateway.openai.chat.completions.create(
        model="gpt-6-sol", messages=PROMPT, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text, chunks
    assert chunks[-1].usage.completion_tokens > 0
    finishes = [c.choices[0].finish_reason for c in chunks if c.choices]
    assert finishes[-1] == "stop", finishes


@check
def openai_events_come_as_they_are_made(gateway):
    stream = gateway.openai.chat.completions.create(
        model="slow-200", messages=PROMPT, stream=True
    )
    times = [time.monotonic() for chunk in stream if chunk.choices and chunk.choices[0].delta.content]
    assert len(times) >= 3, times
    assert times[-1] - times[0] > 0.2, "the answer came in one piece"


@check
def openai_throttled(gateway):
    raw = gateway.openai.chat.completions.with_raw_response.create(
        model="throttled-2", messages=PROMPT
    )
    assert raw.headers["x-llm-attempts"] == "3", raw.headers
    assert raw.parse().choices[0].message.content


@check
def openai_throttled_stream(gateway):
    stream = gateway.openai.chat.completions.create(
        model="throttled-2", messages=PROMPT, stream=True
    )
    assert "".join(c.choices[0].delta.content or "" for c in stream if c.choices)


@check
def openai_error_in_the_first_event_is_retried(gateway):
    raw = gateway.openai.chat.completions.with_raw_response.create(
        model="gpt-6-sol",
        messages=PROMPT,
        stream=True,
        extra_headers={"x-fake": "times=1, err-at=0", "x-fake-key": "sdk-openai-first"},
    )
    assert raw.headers["x-llm-attempts"] == "2", raw.headers
    assert [c for c in raw.parse() if c.choices]


@check
def openai_error_after_content_is_raised_by_the_client(gateway):
    stream = gateway.openai.chat.completions.create(model="err-2", messages=PROMPT, stream=True)
    seen = 0
    try:
        for chunk in stream:
            seen += bool(chunk.choices and chunk.choices[0].delta.content)
    except openai.APIError:
        assert seen >= 1
    else:
        raise AssertionError("no error reached the client")


@check
def openai_understands_our_errors(gateway):
    try:
        gateway.openai.post("/chat/completions", cast_to=object, body={"messages": []})
    except openai.BadRequestError as error:
        assert error.code, error
    else:
        raise AssertionError("a call without a model was taken")


@check
def openai_models_pass_through(gateway):
    assert [model.id for model in gateway.openai.models.list()]


@check
def anthropic_normal(gateway):
    answer = gateway.anthropic.messages.create(
        model="claude-sonnet-5-5", max_tokens=64, messages=PROMPT
    )
    assert answer.content[0].text, answer
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens > 0


@check
def anthropic_streamed(gateway):
    with gateway.anthropic.messages.stream(
        model="claude-sonnet-5-5", max_tokens=64, messages=PROMPT
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text and final.stop_reason == "end_turn", final
    assert final.usage.output_tokens > 0


@check
def anthropic_throttled(gateway):
    raw = gateway.anthropic.messages.with_raw_response.create(
        model="throttled-2", max_tokens=64, messages=PROMPT
    )
    assert raw.headers["x-llm-attempts"] == "3", raw.headers
    assert raw.parse().content[0].text


@check
def anthropic_overloaded_inside_a_200_is_retried(gateway):
    with gateway.anthropic.messages.stream(
        model="claude-sonnet-5-5",
        max_tokens=64,
        messages=PROMPT,
        extra_headers={"x-fake": "times=1, err-at=0", "x-fake-key": "sdk-anthropic-first"},
    ) as stream:
        assert "".join(stream.text_stream)


@check
def anthropic_understands_our_errors(gateway):
    try:
        gateway.anthropic.post("/v1/messages", cast_to=object, body={"max_tokens": 1, "messages": []})
    except anthropic.BadRequestError as error:
        assert error.body["error"]["type"] == "invalid_request_error", error.body
    else:
        raise AssertionError("a call without a model was taken")


@contextlib.contextmanager
def with_keys(behind):
    """A gateway that knows its callers, in front of another one."""
    environment = {"GATEWAY_KEYS": "alice=sk-test,bob=sk-ant", "UPSTREAM_KEY": "sk-upstream"}
    config = f"""
        [[provider]]
        name = "behind"
        base_url = "{behind.url}"
        api_key_env = "UPSTREAM_KEY"
        [auth]
        keys_env = "GATEWAY_KEYS"
    """
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(config)
        file.flush()
        gateway = Gateway(behind.binary, ["--config", file.name], environment)
        try:
            yield gateway
        finally:
            gateway.stop()


@check
def callers_with_a_key_are_let_in_and_others_raise_authentication_errors(gateway):
    with with_keys(gateway) as known:
        openai_normal(known)
        openai_streamed(known)
        anthropic_normal(known)
        anthropic_streamed(known)
        for ask, error in [
            (lambda: openai_normal(known), openai.AuthenticationError),
            (lambda: anthropic_normal(known), anthropic.AuthenticationError),
        ]:
            known.openai.api_key = known.anthropic.api_key = "sk-of-nobody"
            try:
                ask()
            except error as refused:
                assert "sk-of-nobody" not in str(refused), refused
            else:
                raise AssertionError("a key of nobody was taken")


@contextlib.contextmanager
def going_on(behind):
    """A gateway in front of that one, which goes on with streams that break."""
    config = f"""
        listen = "127.0.0.1:0"
        [[provider]]
        name = "chat"
        base_url = "{behind.url}"
        [[provider]]
        name = "messages"
        base_url = "{behind.url}"
        dialect = "anthropic"
        [[route]]
        model = "gpt-4o"
        failover = true
        chain = [{{ provider = "chat", prefill = "last-message" }}]
        [[route]]
        model = "claude-opus-4-5"
        failover = true
        chain = [{{ provider = "messages" }}]
    """
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(config)
        file.flush()
        gateway = Gateway(behind.binary, ["--config", file.name])
        try:
            yield gateway
        finally:
            gateway.stop()


@check
def a_stream_that_breaks_and_goes_on_is_one_answer_to_both_clients(gateway):
    prompt = [{"role": "user", "content": "one two three four five"}]
    breaks = {"x-fake": "break-at=3, times=1"}
    with going_on(gateway) as front:
        with front.openai.chat.completions.stream(
            model="gpt-4o",
            messages=prompt,
            stream_options={"include_usage": True},
            extra_headers=breaks,
        ) as stream:
            answer = stream.get_final_completion()
        assert answer.choices[0].message.content == "echo: one two three four five", answer
        assert answer.choices[0].message.role == "assistant"
        assert answer.choices[0].finish_reason == "stop" and answer.usage.completion_tokens > 0
        with front.anthropic.messages.stream(
            model="claude-opus-4-5", max_tokens=99, messages=prompt, extra_headers=breaks
        ) as stream:
            message = stream.get_final_message()
        assert [block.text for block in message.content] == ["echo: one two three four five"]
        assert message.stop_reason == "end_turn" and message.usage.output_tokens > 0


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--gateway", required=True, help="the gateway's binary")
    gateway = Gateway(arguments.parse_args().gateway)
    failed = 0
    for function in CHECKS:
        try:
            function(gateway)
            print(f"ok      {function.__name__}")
        except Exception:
            failed += 1
            print(f"FAILED  {function.__name__}")
            traceback.print_exc()
    code = gateway.stop()
    if code != 0:
        failed += 1
        print(f"FAILED  the gateway ended with {code}")
    print(f"{len(CHECKS) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
