"""A streamed message, by Anthropic's own library."""
from anthropic import Anthropic

question = [{"role": "user", "content": "hi"}]
with Anthropic().messages.stream(model="claude-sonnet-4-5", max_tokens=64, messages=question) as stream:
    print(stream.get_final_text())
