// The real client of npm, against whatever answers here.
import assert from "node:assert";
import OpenAI from "openai";

const schema = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const client = new OpenAI({ apiKey: "sk-secret-key", maxRetries: 0, timeout: 20_000 });
const tools = [{ type: "function", function: { name: "weather", parameters: schema } }];
const messages = [{ role: "user", content: "What is the weather?" }];
const first = await client.chat.completions.create({ model: "gpt-x", messages, tools });
const call = first.choices[0].message.tool_calls[0];
assert.deepEqual(JSON.parse(call.function.arguments), { city: "observed" });
messages.push(first.choices[0].message, { role: "tool", tool_call_id: call.id, content: "snow" });
const last = await client.chat.completions.create({ model: "gpt-x", messages, tools });
assert.match(last.choices[0].message.content, /made up/);
let text = "";
for await (const chunk of await client.chat.completions.create({ model: "gpt-x", messages, stream: true })) {
  text += chunk.choices[0]?.delta?.content ?? "";
}
assert.match(text, /made up/);
const response = await client.responses.create({ model: "gpt-x", input: "hi" });
assert.match(response.output_text, /made up/);
const final = await client.responses.stream({ model: "gpt-x", input: "hi" }).finalResponse();
assert.match(final.output_text, /made up/);
const embedded = await client.embeddings.create({ model: "e", input: ["a", "bc"] });
assert.equal(embedded.data[1].embedding.length, 1536);
console.log("npm ok");
