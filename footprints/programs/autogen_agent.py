"""An AutoGen assistant with one tool, that also counts the tokens of what it was asked."""
import asyncio

from autogen_agentchat.agents import AssistantAgent
from autogen_core.models import UserMessage
from autogen_ext.models.openai import OpenAIChatCompletionClient


async def weather(city: str) -> str:
    """The weather in a city."""
    return "sunny"


async def main():
    client = OpenAIChatCompletionClient(model="gpt-4o-mini")
    agent = AssistantAgent("assistant", model_client=client, tools=[weather], reflect_on_tool_use=True)
    result = await agent.run(task="What is the weather in Paris?")
    print(result.messages[-1].content)
    try:
        print(client.count_tokens([UserMessage(content="What is the weather in Paris?", source="user")]))
    except Exception as error:  # it fetches a table for that, which may not be there
        print(f"tokens not counted: {type(error).__name__}")
    await client.close()


asyncio.run(main())
