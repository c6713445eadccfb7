import OpenAI from 'openai';

const client = new OpenAI({ maxRetries: 0 });
const ask = (model) => ({ model, messages: [{ role: 'user', content: 'Say hello.' }] });

export const allowed = async () => (await client.chat.completions.create(ask('gpt-5-mini'))).choices[0].message.content;
export const embeddings = async () => (await client.embeddings.create({ model: 'gpt-5-mini', input: 'hello', encoding_format: 'float' })).data.length;
export const action = () => client.files.delete('file-123');
export const resource = () => client.chat.completions.create(ask('o9-giant'));
export const time = () => client.chat.completions.create(ask('gpt-5-mini'));
export const stream = async ({ pieces }) =>
  pieces(await client.chat.completions.create({ ...ask('gpt-5-mini'), stream: true }), (c) => c.choices[0]?.delta?.content);
