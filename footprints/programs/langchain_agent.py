"""An agent with one tool, as LangChain's own introduction builds it."""
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI


def weather(city: str) -> str:
    """The weather in a city."""
    return "sunny"


agent = create_agent(ChatOpenAI(model="gpt-4o-mini"), tools=[weather])
answer = agent.invoke({"messages": [{"role": "user", "content": "What is the weather in Paris?"}]})
print(answer["messages"][-1].content)
