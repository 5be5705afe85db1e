#!/usr/bin/env python3
"""The official OpenAI, Anthropic and Google clients through the gateway.

Starts the gateway on a free port with its own provider and runs every check below, and those of the Google client,
against it. Exit code 0 if all passed.
"""

import argparse
import contextlib
import json
import sys
import tempfile
import time
import traceback

import anthropic
import openai

import google_client  # its checks are among the others
from house import ANTHROPIC_TOOL, CALLS_A_TOOL, CHECKS, OPENAI_TOOL, PROMPT, Gateway, check, translating


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


@check
def the_openai_client_is_answered_by_anthropic_and_gemini(gateway):
    with translating(gateway) as gateway:
        for model in ("by-anthropic", "by-gemini"):
            raw = gateway.openai.chat.completions.with_raw_response.create(
                model=model,
                messages=[{"role": "system", "content": "Be exact."}, *PROMPT],
                max_tokens=99,
                temperature=0.5,
                stop=["###"],
                user="u",
                store=False,
            )
            assert raw.headers["x-llm-model"] != model, raw.headers
            assert "store" in raw.headers["x-llm-left-out"], raw.headers
            answer = raw.parse()
            assert answer.object == "chat.completion" and answer.created > 0, answer
            assert "lemon" in answer.choices[0].message.content, answer
            assert answer.choices[0].finish_reason == "stop"
            assert answer.usage.total_tokens > 0
            with gateway.openai.chat.completions.stream(
                model=model, messages=PROMPT, stream_options={"include_usage": True}
            ) as stream:
                list(stream)
                final = stream.get_final_completion()
            assert "lemon" in final.choices[0].message.content, final
            assert final.usage.completion_tokens > 0


@check
def the_openai_client_calls_tools_of_anthropic_and_gemini(gateway):
    with translating(gateway) as gateway:
        for model in ("by-anthropic", "by-gemini"):
            create = gateway.openai.chat.completions.create
            answer = create(
                model=model, messages=PROMPT, tools=[OPENAI_TOOL], extra_headers=CALLS_A_TOOL
            )
            choice = answer.choices[0]
            assert choice.finish_reason == "tool_calls", answer
            call = choice.message.tool_calls[0]
            assert call.function.name == "lookup" and json.loads(call.function.arguments), answer
            with gateway.openai.chat.completions.stream(
                model=model, messages=PROMPT, tools=[OPENAI_TOOL], extra_headers=CALLS_A_TOOL
            ) as stream:
                list(stream)
                streamed = stream.get_final_completion().choices[0].message.tool_calls[0]
            assert json.loads(streamed.function.arguments), streamed
            # what the client has of the answer, sent back as it is, with the tool's result
            result = {"role": "tool", "tool_call_id": call.id, "content": "a fruit"}
            turns = [*PROMPT, choice.message.model_dump(), result]
            again = create(model=model, messages=turns, tools=[OPENAI_TOOL])
            assert again.choices[0].message.content, again


@check
def the_openai_client_reads_images_schemas_and_responses_through_a_translation(gateway):
    pixel = "data:image/png;base64,iVBORw0KGgo="
    image = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": pixel}}]
    schema = {"type": "json_schema", "json_schema": {"name": "w", "schema": {"type": "object"}}}
    with translating(gateway) as gateway:
        for model in ("by-anthropic", "by-gemini"):
            gateway.openai.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": image}],
                response_format=schema,
            )
        for model in ("by-anthropic", "by-gemini"):
            answer = gateway.openai.responses.create(model=model, input="Colour of a ripe lemon?")
            assert "lemon" in answer.output_text and answer.usage.total_tokens > 0, answer
            with gateway.openai.responses.stream(model=model, input="Colour of a ripe lemon?") as stream:
                kinds = [event.type for event in stream]
                final = stream.get_final_response()
            assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
            assert "lemon" in final.output_text, final


@check
def the_openai_client_hears_what_cannot_be_carried_over(gateway):
    with translating(gateway) as gateway:
        try:
            gateway.openai.chat.completions.create(model="by-anthropic", messages=PROMPT, seed=7)
        except openai.BadRequestError as error:
            assert error.code == "not_translated" and "`seed`" in str(error), error
        else:
            raise AssertionError("a seed was dropped")
        try:
            list(
                gateway.openai.chat.completions.create(
                    model="by-anthropic",
                    messages=PROMPT,
                    stream=True,
                    extra_headers={"x-fake": "err-at=2"},
                )
            )
        except openai.APIError:
            pass
        else:
            raise AssertionError("no error reached the client")


@check
def the_anthropic_client_is_answered_by_openai_and_gemini(gateway):
    with translating(gateway) as gateway:
        for model in ("by-openai", "by-gemini"):
            answer = gateway.anthropic.messages.create(
                model=model,
                max_tokens=64,
                system="Be exact.",
                messages=PROMPT,
                stop_sequences=["###"],
            )
            assert "lemon" in answer.content[0].text, answer
            assert answer.stop_reason == "end_turn" and answer.usage.output_tokens > 0
            with gateway.anthropic.messages.stream(
                model=model, max_tokens=64, messages=PROMPT
            ) as stream:
                text = "".join(stream.text_stream)
                final = stream.get_final_message()
            assert "lemon" in text and final.stop_reason == "end_turn", final
            assert final.usage.input_tokens > 0 and final.usage.output_tokens > 0, final


@check
def the_anthropic_client_calls_tools_of_openai_and_gemini(gateway):
    with translating(gateway) as gateway:
        for model in ("by-openai", "by-gemini"):
            ask = dict(model=model, max_tokens=64, tools=[ANTHROPIC_TOOL])
            answer = gateway.anthropic.messages.create(
                messages=PROMPT, extra_headers=CALLS_A_TOOL, **ask
            )
            assert answer.stop_reason == "tool_use", answer
            call = next(block for block in answer.content if block.type == "tool_use")
            assert call.name == "lookup" and call.input, answer
            with gateway.anthropic.messages.stream(
                messages=PROMPT, extra_headers=CALLS_A_TOOL, **ask
            ) as stream:
                final = stream.get_final_message()
            assert final.content[-1].input == call.input, final
            result = {"type": "tool_result", "tool_use_id": call.id, "content": "a fruit"}
            turns = [
                *PROMPT,
                {"role": "assistant", "content": answer.content},
                {"role": "user", "content": [result]},
            ]
            again = gateway.anthropic.messages.create(messages=turns, **ask)
            assert again.content[0].text, again


@check
def the_anthropic_client_hears_what_cannot_be_carried_over(gateway):
    with translating(gateway) as gateway:
        try:
            gateway.anthropic.messages.create(
                model="by-openai", max_tokens=64, messages=PROMPT, extra_body={"top_k": 5}
            )
        except anthropic.BadRequestError as error:
            assert error.body["error"]["type"] == "invalid_request_error", error.body
            assert "`top_k`" in error.body["error"]["message"], error.body
        else:
            raise AssertionError("top_k was dropped")
        try:
            with gateway.anthropic.messages.stream(
                model="by-openai",
                max_tokens=64,
                messages=PROMPT,
                extra_headers={"x-fake": "err-at=2"},
            ) as stream:
                "".join(stream.text_stream)
        except anthropic.APIError:
            pass
        else:
            raise AssertionError("no error reached the client")


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
        [[provider]]
        name = "google"
        base_url = "{behind.url}"
        dialect = "gemini"
        [[route]]
        model = "gpt-4.1"
        failover = true
        chain = [{{ provider = "chat", model = "err-3" }}, {{ provider = "messages", model = "claude-opus-4-5" }}]
        [[route]]
        model = "claude-sonnet-5"
        failover = true
        chain = [{{ provider = "messages", model = "err-3" }}, {{ provider = "chat", model = "llama3", prefill = "last-message" }}]
        [[route]]
        model = "gemini-3.8-flash"
        failover = true
        chain = [{{ provider = "google", model = "err-3" }}, {{ provider = "messages", model = "claude-opus-4-5" }}]
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


@check
def a_stream_that_goes_on_in_another_dialect_is_one_answer_to_all_three_clients(gateway):
    prompt = "one two three four five"
    messages = [{"role": "user", "content": prompt}]
    with going_on(gateway) as front:
        with front.openai.chat.completions.stream(
            model="gpt-4.1", messages=messages, stream_options={"include_usage": True}
        ) as stream:
            answer = stream.get_final_completion()
        assert answer.choices[0].message.content == f"echo: {prompt}", answer
        assert answer.choices[0].finish_reason == "stop" and answer.usage.completion_tokens > 0
        with front.anthropic.messages.stream(
            model="claude-sonnet-5", max_tokens=99, messages=messages
        ) as stream:
            message = stream.get_final_message()
        assert [block.text for block in message.content] == [f"echo: {prompt}"], message
        assert message.stop_reason == "end_turn" and message.usage.output_tokens > 0, message
        google_client.goes_on_in_another_dialect(front, prompt)


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
