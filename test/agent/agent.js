// An agent as anybody would write it: Slack Bolt, a model, no knowledge of ClawStaff.
// Whatever a teammate writes is put to the model, and the answer goes into the thread.
// Messages that begin with "!" make it misbehave; misbehaviour.js has those.
import Anthropic from '@anthropic-ai/sdk';
import bolt from '@slack/bolt';
import { misbehaviours } from './misbehaviour.js';

const { App, HTTPReceiver } = bolt;
const model = process.env.MODEL ?? 'claude-sonnet-5';
const anthropic = new Anthropic({ maxRetries: 1 }); // ANTHROPIC_API_KEY

const receiver = new HTTPReceiver({
  signingSecret: process.env.SLACK_SIGNING_SECRET,
  endpoints: ['/messages'],
});
const app = new App({
  receiver,
  authorize: () => (identity ??= whoAmI()),
  clientOptions: { retryConfig: { retries: 2, minTimeout: 200 } },
});

// One line of JSON per thing that happens, for whoever reads the log.
const log = (event, fields = {}) => console.log(JSON.stringify({ time: new Date().toISOString(), event, ...fields }));

// whoAmI asks Slack who this bot is, when the first message comes. A failure is not kept.
let identity;
async function whoAmI() {
  const token = process.env.SLACK_BOT_TOKEN;
  try {
    const { user_id: botUserId, bot_id: botId } = await app.client.auth.test({ token });
    return { botToken: token, botUserId, botId };
  } catch (error) {
    identity = undefined;
    log('unknown to Slack', { error: error.data?.error ?? error.message });
    throw error;
  }
}

// answer streams the model's answer to a text.
async function answer(text) {
  const stream = anthropic.messages.stream({
    model,
    max_tokens: 512,
    system: 'You triage support tickets. Answer in one sentence.',
    messages: [{ role: 'user', content: text }],
  });
  return stream.finalText();
}

app.message(async ({ message, client }) => {
  if (message.subtype) return;
  const say = (text) => client.chat.postMessage({ channel: message.channel, thread_ts: message.thread_ts ?? message.ts, text });
  const [, name, args] = /^!(\w+)\s*([^]*)$/.exec(message.text) ?? [];
  log('message', { channel: message.channel, user: message.user, command: name });
  try {
    const misbehave = name && misbehaviours[name];
    const text = misbehave
      ? JSON.stringify(await misbehave({ args, client, anthropic, model, log, message }))
      : await answer(message.text);
    await say(text);
    log('answered', { channel: message.channel });
  } catch (error) {
    log('failed', { error: error.data?.error ?? error.message });
  }
});

for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
await app.start(Number(process.env.PORT ?? 8080));
log('listening');
