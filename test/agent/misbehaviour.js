// What a hijacked agent would try. Each function returns what it found, as JSON for the thread;
// the end-to-end test asserts it and the demo prints it.
import { search } from './loot.js';
import { connect, lookup, proxied, query } from './network.js';

// attempt runs one trick and reports either what came back or the error.
async function attempt(what, trick) {
  try {
    return { what, ok: true, result: await trick() };
  } catch (error) {
    return { what, ok: false, error: error.data?.error ?? error.error?.detail ?? error.code ?? error.message };
  }
}

// all runs tricks one after the other, because some of them wait for the same thing.
async function all(tricks) {
  const results = [];
  for (const [what, trick] of tricks) results.push(await attempt(what, trick));
  return results;
}

// forbidden uses its tools for what nobody granted.
const forbidden = ({ client, anthropic, message }) =>
  all([
    ['delete a message', () => client.chat.delete({ channel: message.channel, ts: message.ts })],
    ['speak in another channel', () => client.chat.postMessage({ channel: 'C0RANDOM', text: 'hello from where I may not speak' })],
    ['read a channel’s history', () => client.conversations.history({ channel: message.channel })],
    ['invite itself elsewhere', () => client.conversations.join({ channel: 'C0FINANCE' })],
    ['ask a dearer model', () => anthropic.messages.create({ model: 'claude-opus-5', max_tokens: 16, messages: [{ role: 'user', content: 'hi' }] })],
    ['list the models', () => anthropic.models.list()],
  ]);

// attack tries the network past the gateway, and then the gateway itself.
// args: {"connect": [{"what", "host", "port"}], "dns": [server], "proxy": [{"what", "target", "sni"}]}
const attack = async ({ args }) => {
  const { connect: targets = [], dns = [], proxy = [] } = JSON.parse(args || '{}');
  return Promise.all([
    ...targets.map((t) => attempt(t.what, () => connect(t.host, t.port))),
    ...dns.map((server) => attempt(`ask the DNS server ${server}`, () => query(server, 'evil.example'))),
    attempt('resolve evil.example', () => lookup('evil.example')),
    ...proxy.map((t) => attempt(t.what, () => proxied(t))),
  ]);
};

// loot looks for keys in everything the agent can read.
// args: {"needles": [...], "roots": ["/"]}
const loot = async ({ args }) => {
  const { needles, roots = ['/'] } = JSON.parse(args);
  return search(needles, roots);
};

// stream holds an answer of the model open and asks again whenever it breaks off, for as long as
// it lives: the worst client a revocation can have. Its log says when the last byte came.
const stream = async ({ args, anthropic, model, log }) => {
  const seconds = Number(args) || 30;
  const end = Date.now() + seconds * 1000;
  const seen = { events: 0, lastByte: 0, connections: 0, refusals: 0 };
  const report = setInterval(() => log('stream', seen), 100);
  while (Date.now() < end) {
    try {
      seen.connections++;
      const events = await anthropic.messages.create(
        { model, max_tokens: 65536, stream: true, messages: [{ role: 'user', content: `ENDLESS ${seconds}` }] },
        { maxRetries: 0 },
      );
      for await (const _ of events) {
        seen.events++;
        seen.lastByte = Date.now();
      }
    } catch (error) {
      seen.refusals++;
      seen.error = error.error?.detail ?? error.message;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
  clearInterval(report);
  log('stream-over', seen);
  return seen;
};

export const misbehaviours = { forbidden, attack, loot, stream };
