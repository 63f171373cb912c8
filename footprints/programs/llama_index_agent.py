"""A LlamaIndex agent with one tool."""
import asyncio

from llama_index.core.agent.workflow import FunctionAgent
from llama_index.llms.openai import OpenAI


def weather(city: str) -> str:
    """The weather in a city."""
    return "sunny"


async def main():
    agent = FunctionAgent(tools=[weather], llm=OpenAI(model="gpt-4o-mini"), system_prompt="Answer briefly.")
    print(await agent.run("What is the weather in Paris?"))


asyncio.run(main())
