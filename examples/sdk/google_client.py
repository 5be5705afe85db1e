"""The official Google client: served by Gemini's dialect as it is, and by OpenAI and Anthropic through a translation."""

import json

from google.genai import errors, types

from house import OPENAI_TOOL, check, translating

QUESTION = "Colour of a ripe lemon?"
TOOL = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(
            name="lookup",
            description="Looks a word up.",
            parameters_json_schema=OPENAI_TOOL["function"]["parameters"],
        )
    ]
)
BY_OTHERS = ("by-openai", "by-anthropic")


def behave(how):
    """What the provider is to do."""
    return types.HttpOptions(headers={"x-fake": how})


def calls_in(answer):
    parts = answer.candidates[0].content.parts or []
    return [part.function_call for part in parts if part.function_call]


@check
def gemini_normal_and_streamed(gateway):
    ask = dict(model="gemini-3.8-flash", contents=QUESTION)
    answer = gateway.gemini.models.generate_content(**ask)
    assert answer.text and answer.usage_metadata.total_token_count > 0, answer
    chunks = list(gateway.gemini.models.generate_content_stream(**ask))
    assert "".join(chunk.text or "" for chunk in chunks) == answer.text, chunks
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP, chunks


@check
def the_google_client_is_answered_by_openai_and_anthropic(gateway):
    config = types.GenerateContentConfig(
        system_instruction="Be exact.",
        temperature=0.5,
        max_output_tokens=99,
        stop_sequences=["###"],
    )
    with translating(gateway) as gateway:
        for model in BY_OTHERS:
            answer = gateway.gemini.models.generate_content(
                model=model, contents=QUESTION, config=config
            )
            assert "lemon" in answer.text, answer
            assert answer.candidates[0].finish_reason == types.FinishReason.STOP, answer
            used = answer.usage_metadata
            assert used.prompt_token_count > 0 and used.candidates_token_count > 0, answer
            assert answer.response_id and answer.model_version, answer
            chunks = list(
                gateway.gemini.models.generate_content_stream(
                    model=model, contents=QUESTION, config=config
                )
            )
            assert len(chunks) > 2, "the answer came in one piece"
            assert "".join(chunk.text or "" for chunk in chunks) == answer.text, chunks
            assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP, chunks
            assert chunks[-1].usage_metadata.candidates_token_count > 0, chunks


@check
def the_google_client_calls_tools_of_openai_and_anthropic(gateway):
    config = types.GenerateContentConfig(tools=[TOOL], http_options=behave("tool"))
    with translating(gateway) as gateway:
        for model in BY_OTHERS:
            ask = dict(model=model, contents=QUESTION, config=config)
            answer = gateway.gemini.models.generate_content(**ask)
            (call,) = calls_in(answer)
            assert call.name == "lookup" and call.args, answer
            streamed = []
            for chunk in gateway.gemini.models.generate_content_stream(**ask):
                streamed += calls_in(chunk)
            assert [(one.name, one.args) for one in streamed] == [(call.name, call.args)], streamed
            # what the client has of the answer, sent back as it is, with the tool's result
            result = types.FunctionResponse(id=call.id, name=call.name, response={"output": "a fruit"})
            turns = [
                types.Content(role="user", parts=[types.Part(text=QUESTION)]),
                answer.candidates[0].content,
                types.Content(role="user", parts=[types.Part(function_response=result)]),
            ]
            again = gateway.gemini.models.generate_content(
                model=model, contents=turns, config=types.GenerateContentConfig(tools=[TOOL])
            )
            assert again.text, again


@check
def the_google_client_sends_images_and_schemas_and_is_shown_the_thoughts_it_asks_for(gateway):
    pixel = types.Part.from_bytes(data=b"\x89PNG\r\n", mime_type="image/png")
    schema = types.GenerateContentConfig(
        response_mime_type="application/json", response_json_schema={"type": "object"}
    )
    with translating(gateway) as gateway:
        for model in BY_OTHERS:
            gateway.gemini.models.generate_content(
                model=model, contents=["What is this?", pixel], config=schema
            )
        for shown in (True, False):
            config = types.GenerateContentConfig(
                thinking_config=types.ThinkingConfig(include_thoughts=shown, thinking_level="low"),
                http_options=behave("reasoning=3"),
            )
            ask = dict(model="by-anthropic", contents=QUESTION, config=config)
            parts = gateway.gemini.models.generate_content(**ask).candidates[0].content.parts
            assert any(part.thought for part in parts) == shown, parts
            chunks = gateway.gemini.models.generate_content_stream(**ask)
            parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts or []]
            assert any(part.thought for part in parts) == shown, parts


@check
def the_google_client_hears_what_cannot_be_carried_over_and_of_errors(gateway):
    safety = types.SafetySetting(
        category="HARM_CATEGORY_HARASSMENT", threshold="BLOCK_ONLY_HIGH"
    )
    with translating(gateway) as gateway:
        models = gateway.gemini.models
        try:
            models.generate_content(
                model="by-openai",
                contents=QUESTION,
                config=types.GenerateContentConfig(safety_settings=[safety]),
            )
        except errors.ClientError as error:
            assert error.code == 400 and "safetySettings" in json.dumps(error.details), error.details
        else:
            raise AssertionError("safety settings were dropped")
        for how, kind in [("status=429", errors.ClientError), ("status=500", errors.ServerError)]:
            config = types.GenerateContentConfig(http_options=behave(how))
            try:
                models.generate_content(model="by-anthropic", contents=QUESTION, config=config)
            except kind as error:
                assert error.message, error.details
            else:
                raise AssertionError(f"{how} was no error")
        config = types.GenerateContentConfig(http_options=behave("err-at=2"))
        stream = models.generate_content_stream(
            model="by-anthropic", contents=QUESTION, config=config
        )
        text = ""
        try:
            for chunk in stream:
                text += chunk.text or ""
        except errors.APIError:
            assert text, "nothing came before"
        else:
            raise AssertionError("no error reached the client")


def goes_on_in_another_dialect(gateway, prompt):
    ask = dict(model="gemini-3.8-flash", contents=prompt)
    chunks = list(gateway.gemini.models.generate_content_stream(**ask))
    assert "".join(chunk.text or "" for chunk in chunks) == f"echo: {prompt}", chunks
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP, chunks
    assert len({chunk.response_id for chunk in chunks}) == 1, chunks
    # who says it: another model from some chunk on
    assert len({chunk.model_version for chunk in chunks}) == 2, chunks
