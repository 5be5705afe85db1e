"""What the checks share: the gateway with a client of each kind, and one that translates in front of it."""

import contextlib
import os
import re
import signal
import subprocess
import tempfile

import anthropic
import openai
from google import genai
from google.genai import types

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
        self.gemini = genai.Client(api_key="AIza-x", http_options=types.HttpOptions(base_url=self.url))

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=40)


OPENAI_TOOL = {
    "type": "function",
    "function": {
        "name": "lookup",
        "description": "Looks a word up.",
        "parameters": {
            "type": "object",
            "properties": {"q": {"type": "string"}},
            "required": ["q"],
            "additionalProperties": False,
        },
    },
}
ANTHROPIC_TOOL = {
    "name": "lookup",
    "description": "Looks a word up.",
    "input_schema": OPENAI_TOOL["function"]["parameters"],
}
CALLS_A_TOOL = {"x-fake": "tool"}


@contextlib.contextmanager
def translating(behind):
    """A gateway whose models are served by providers of other dialects: the one in front of which it stands."""
    providers = "".join(
        f"""
        [[provider]]
        name = "{name}"
        base_url = "{behind.url}"
        dialect = "{name}"
        api_key_env = "UPSTREAM_KEY"
        """
        for name in ("openai", "anthropic", "gemini")
    )
    routes = "".join(
        f"""
        [[route]]
        model = "{asked}"
        chain = [{{ provider = "{provider}", model = "{model}" }}]
        """
        for asked, provider, model in [
            ("by-anthropic", "anthropic", "claude-sonnet-5-5"),
            ("by-gemini", "gemini", "gemini-3.8-flash"),
            ("by-openai", "openai", "gpt-6-sol"),
        ]
    )
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(providers + routes)
        file.flush()
        gateway = Gateway(behind.binary, ["--config", file.name], {"UPSTREAM_KEY": "sk-upstream"})
        try:
            yield gateway
        finally:
            gateway.stop()
