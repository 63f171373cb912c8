"""What LangChain does beside calling its model: counts tokens, and embeds a text."""
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

for model in ("gpt-4o-mini", "gpt-4"):
    try:
        print(ChatOpenAI(model=model).get_num_tokens("What is the weather in Paris?"))
    except Exception as error:  # it fetches a table for that, which may not be there
        print(f"tokens not counted: {type(error).__name__}")
print(len(OpenAIEmbeddings(check_embedding_ctx_length=False).embed_query("tea")))
