"""A LlamaIndex agent with one tool, and an index of one document."""
import asyncio

from llama_index.core import Document, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.embeddings.openai import OpenAIEmbedding
from llama_index.llms.openai import OpenAI


def weather(city: str) -> str:
    """The weather in a city."""
    return "sunny"


async def main():
    agent = FunctionAgent(tools=[weather], llm=OpenAI(model="gpt-4o-mini"), system_prompt="Answer briefly.")
    print(await agent.run("What is the weather in Paris?"))
    index = VectorStoreIndex.from_documents([Document(text="tea")], embed_model=OpenAIEmbedding())
    print(len(index.as_retriever().retrieve("tea")))


asyncio.run(main())
