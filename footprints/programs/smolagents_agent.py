"""A smolagents agent with one tool."""
from smolagents import OpenAIServerModel, ToolCallingAgent, tool


@tool
def weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: its name
    """
    return "sunny"


agent = ToolCallingAgent(tools=[weather], model=OpenAIServerModel(model_id="gpt-4o-mini"), max_steps=2)
print(agent.run("What is the weather in Paris?"))
