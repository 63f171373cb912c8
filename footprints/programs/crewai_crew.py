"""A crew of one agent with one task, and a memory."""
from crewai import Agent, Crew, Task

agent = Agent(role="helper", goal="help", backstory="somebody who helps", llm="gpt-4o-mini")
task = Task(description="Say hi.", expected_output="a greeting", agent=agent)
print(Crew(agents=[agent], tasks=[task], memory=True).kickoff())
