"""LangChain on a developer's machine, with the five kinds of destination that such agents have: a model provider, a
vector store, an API of a tool, a package index, a model hub. Each is a step of its own; what a step needs and does not get
is said, and the next one follows."""
import json
import subprocess
import sys
import urllib.request

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI, OpenAIEmbeddings


def step(name, work):
    try:
        print(f"{name}: {work()}")
    except Exception as error:  # every kind of failure is an answer here
        print(f"{name}: did not get what it needs: {type(error).__name__}")


def weather(city: str) -> str:
    """The weather in a city."""
    try:
        with urllib.request.urlopen(f"https://api.open-meteo.com/v1/forecast?city={city}", timeout=10) as answer:
            return json.load(answer)["weather"]
    except OSError:
        return "unknown"


def model():
    agent = create_agent(ChatOpenAI(model="gpt-4o-mini"), tools=[weather])
    answer = agent.invoke({"messages": [{"role": "user", "content": "What is the weather in Paris?"}]})
    return answer["messages"][-1].content


def store():
    from langchain_qdrant import QdrantVectorStore
    from qdrant_client import QdrantClient

    client = QdrantClient(url="https://cluster.eu-central.aws.cloud.qdrant.io", port=443, api_key="dummy", timeout=10)
    embeddings = OpenAIEmbeddings(model="text-embedding-3-small")
    found = QdrantVectorStore(client=client, collection_name="notes", embedding=embeddings).similarity_search("tea")
    return f"{len(found)} documents"


def packages():
    # from whatever index pip itself is configured with
    run = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "0"]
    done = subprocess.run([*run, "--target", "/tmp/more", "langchain-weather"])
    return f"pip ended with {done.returncode}"


def hub():
    from huggingface_hub import hf_hub_download

    return hf_hub_download("sentence-transformers/all-MiniLM-L6-v2", "config.json")


step("model provider and tool", model)
step("vector store", store)
step("package index", packages)
step("model hub", hub)
