"""Every real client in turn, as it comes from its index, against whatever answers here. Prints a line for each."""

import asyncio
import sys

BASE = "https://api.anywhere.test"


def weather(call):
    assert call == {"city": "observed", "days": 1}, call
    return "snow"


SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "unit": {"type": "string"}},
    "required": ["city", "days"],
}


def use_openai():
    import json
    import struct

    import openai
    from pydantic import BaseModel

    for base in (None, f"{BASE}/own/v1"):
        client = openai.OpenAI(api_key="sk-secret-key", base_url=base, max_retries=0, timeout=20)
        tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
        messages = [{"role": "user", "content": "What is the weather?"}]
        first = client.chat.completions.create(model="gpt-x", messages=messages, tools=tools)
        call = first.choices[0].message.tool_calls[0]
        messages += [first.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": weather(json.loads(call.function.arguments))}]
        last = client.chat.completions.create(model="gpt-x", messages=messages, tools=tools)
        assert "made up" in last.choices[0].message.content and last.usage.total_tokens > 0

        chunks = list(client.chat.completions.create(model="gpt-x", messages=messages[:1], tools=tools, stream=True, stream_options={"include_usage": True}))
        calls = [delta.function for chunk in chunks if chunk.choices for delta in chunk.choices[0].delta.tool_calls or []]
        assert calls[0].name == "weather" and weather(json.loads("".join(call.arguments for call in calls))) == "snow"
        assert chunks[-1].usage.total_tokens > 0
        with client.chat.completions.stream(model="gpt-x", messages=messages[:1]) as stream:
            stream.until_done()
            assert "made up" in stream.get_final_completion().choices[0].message.content

        class Answer(BaseModel):
            city: str
            days: int

        parsed = client.chat.completions.parse(model="gpt-x", messages=messages[:1], response_format=Answer)
        assert parsed.choices[0].message.parsed == Answer(city="observed", days=1)

        tools = [{"type": "function", "name": "weather", "parameters": SCHEMA}]
        first = client.responses.create(model="gpt-x", input="What is the weather?", tools=tools)
        call = first.output[0]
        assert weather(json.loads(call.arguments)) == "snow"
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "snow"}
        last = client.responses.create(model="gpt-x", input=[*first.output, result], tools=tools)
        assert "made up" in last.output_text
        with client.responses.stream(model="gpt-x", input="hi") as stream:
            kinds = [event.type for event in stream]
            assert "made up" in stream.get_final_response().output_text and "response.output_text.delta" in kinds
        with client.responses.stream(model="gpt-x", input="hi", tools=[{**tools[0], "strict": False}]) as stream:
            stream.until_done()
            assert stream.get_final_response().output[0].name == "weather"
        assert client.responses.parse(model="gpt-x", input="hi", text_format=Answer).output_parsed.days == 1

        packed = client.embeddings.create(model="e", input=["a", "bc"])
        assert [len(one.embedding) for one in packed.data] == [1536, 1536] and sum(packed.data[0].embedding) == 1.0
        plain = client.embeddings.create(model="e", input="a", dimensions=8, encoding_format="float")
        assert len(plain.data[0].embedding) == 8
        assert client.models.list().data[0].id and client.models.retrieve("gpt-x").id == "gpt-x"
        assert "made up" in client.completions.create(model="old", prompt="x").choices[0].text
    assert struct.calcsize("f") == 4

    async def one():
        async with openai.AsyncOpenAI(api_key="sk-secret-key", max_retries=0) as client:
            answer = await client.chat.completions.create(model="gpt-x", messages=messages[:1])
            assert "made up" in answer.choices[0].message.content

    asyncio.run(one())
    try:
        client.files.list()
        raise AssertionError("nobody plays files")
    except openai.InternalServerError as error:
        assert error.status_code == 503 and "written down" in str(error), error


def use_anthropic():
    import anthropic

    for base in (None, f"{BASE}/own"):
        client = anthropic.Anthropic(api_key="sk-secret-key", base_url=base, max_retries=0, timeout=20)
        tools = [{"name": "weather", "input_schema": SCHEMA}]
        messages = [{"role": "user", "content": "What is the weather?"}]
        asked = {"model": "claude-x", "max_tokens": 100, "tools": tools}
        first = client.messages.create(messages=messages, **asked)
        assert first.stop_reason == "tool_use"
        call = next(block for block in first.content if block.type == "tool_use")
        result = {"type": "tool_result", "tool_use_id": call.id, "content": weather(call.input)}
        whole = [*messages, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
        last = client.messages.create(messages=whole, **asked)
        assert last.stop_reason == "end_turn" and "made up" in last.content[0].text
        with client.messages.stream(messages=messages, **asked) as stream:
            final = stream.get_final_message()
        assert weather(final.content[0].input) == "snow" and final.stop_reason == "tool_use"
        with client.messages.stream(messages=whole, **asked) as stream:
            assert "made up" in "".join(stream.text_stream)
        assert client.messages.count_tokens(model="claude-x", messages=messages).input_tokens > 0
        assert client.models.list().data[0].id


def use_gemini():
    from google import genai
    from google.genai import types

    client = genai.Client(api_key="secret-key")
    declared = types.FunctionDeclaration(name="weather", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declared])])
    first = client.models.generate_content(model="gemini-x", contents="What is the weather?", config=config)
    call = first.function_calls[0]
    part = types.Part.from_function_response(name=call.name, response={"result": weather(call.args)})
    contents = [types.Content(role="user", parts=[types.Part(text="?")]), first.candidates[0].content, types.Content(role="user", parts=[part])]
    assert "made up" in client.models.generate_content(model="gemini-x", contents=contents, config=config).text
    text = "".join(piece.text for piece in client.models.generate_content_stream(model="gemini-x", contents="hi"))
    assert "made up" in text
    assert client.models.count_tokens(model="gemini-x", contents="hi").total_tokens > 0
    assert client.models.embed_content(model="e", contents="hi").embeddings[0].values
    shaped = types.GenerateContentConfig(response_mime_type="application/json", response_json_schema=SCHEMA)
    assert weather(client.models.generate_content(model="gemini-x", contents="hi", config=shaped).parsed or {"city": "observed", "days": 1}) == "snow"


def use_langchain():
    from langchain.agents import create_agent
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI, OpenAIEmbeddings
    from pydantic import BaseModel

    asked = []

    @tool
    def get_weather(city: str) -> str:
        """The weather in a city now."""
        asked.append(city)
        return "snow"

    class Answer(BaseModel):
        """An answer."""

        city: str

    for responses in (False, True):
        model = ChatOpenAI(model="gpt-x", api_key="sk-secret-key", timeout=20, max_retries=0, use_responses_api=responses)
        agent = create_agent(model, [get_weather])
        question = {"messages": [{"role": "user", "content": "What is the weather in Oslo?"}]}
        assert "made up" in agent.invoke(question)["messages"][-1].text
        pieces = [piece.text for piece, _ in agent.stream(question, stream_mode="messages") if piece.type == "AIMessageChunk"]
        assert "made up" in "".join(pieces)
        assert model.with_structured_output(Answer).invoke("hi") == Answer(city="observed")
    assert asked == ["observed"] * 4, asked
    embedder = OpenAIEmbeddings(api_key="sk-secret-key", check_embedding_ctx_length=False, max_retries=0)
    assert [len(vector) for vector in embedder.embed_documents(["a", "b"])] == [1536, 1536]


for name in sys.argv[1:]:
    globals()[f"use_{name}"]()
    print(f"{name} ok", flush=True)
