"""A chat, a response and an embedding, by OpenAI's own library."""
from openai import OpenAI

client = OpenAI()
chat = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "hi"}])
print(chat.choices[0].message.content)
print(client.responses.create(model="gpt-4o-mini", input="hi").output_text)
print(len(client.embeddings.create(model="text-embedding-3-small", input="hi").data[0].embedding))
