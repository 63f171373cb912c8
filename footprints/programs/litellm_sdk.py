"""A completion by LiteLLM."""
import litellm

question = [{"role": "user", "content": "hi"}]
print(litellm.completion(model="gpt-4o-mini", messages=question).choices[0].message.content)
