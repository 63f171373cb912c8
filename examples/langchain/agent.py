"""A LangChain agent with one tool: agent.py MODEL_URL WEATHER_URL."""

import json
import sys
import urllib.parse
import urllib.request

from langchain.agents import create_agent
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI

model_url, weather_url = sys.argv[1:]


@tool
def get_weather(city: str) -> str:
    """The weather in a city now."""
    query = urllib.parse.urlencode({"city": city})
    with urllib.request.urlopen(f"{weather_url}/weather?{query}", timeout=10) as response:
        return json.load(response)["weather"]


model = ChatOpenAI(model="small", base_url=model_url, api_key="not-a-key", timeout=20, max_retries=0)
agent = create_agent(model, [get_weather])
question = {"messages": [{"role": "user", "content": "What is the weather in Oslo?"}]}

whole = agent.invoke(question)
print("whole:   ", whole["messages"][-1].content)

pieces = [piece.text for piece, _ in agent.stream(question, stream_mode="messages") if piece.type == "AIMessageChunk"]
print("streamed:", "".join(pieces))
