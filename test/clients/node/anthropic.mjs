import Anthropic from '@anthropic-ai/sdk';

const client = new Anthropic({ maxRetries: 0 });
const ask = (model) => ({ model, max_tokens: 64, messages: [{ role: 'user', content: 'Say hello.' }] });

export const allowed = async () => (await client.messages.create(ask('claude-sonnet-5'))).content[0].text;
export const action = () => client.messages.batches.cancel('msgbatch_1');
export const resource = () => client.messages.create(ask('other-model'));
export const time = () => client.messages.create(ask('claude-sonnet-5'));
export const stream = async ({ pieces }) =>
  pieces(await client.messages.create({ ...ask('claude-sonnet-5'), stream: true }), (e) => e.delta?.text);
