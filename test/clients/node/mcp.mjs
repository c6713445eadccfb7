import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

async function connected() {
  const client = new Client({ name: 'agent', version: '1.0.0' });
  await client.connect(new StreamableHTTPClientTransport(new URL(process.env.MCP_URL), {
    requestInit: { headers: { Authorization: `Bearer ${process.env.MCP_TOKEN}` } },
  }));
  return client;
}
const call = async (name, args) => (await (await connected()).callTool({ name, arguments: args })).content[0].text;

export const allowed = () => call('list_tickets', { project: 'acme' });
export const tools = async () => (await (await connected()).listTools()).tools.map((t) => t.name).join('|');
export const action = () => call('close_ticket', { id: 7 });
export const resource = () => call('list_salaries', {});
export const time = () => call('list_tickets', { project: 'acme' });
export const stream = async ({ pieces }) => {
  const client = await connected();
  const seen = [];
  async function* progress() {
    const queue = [];
    let wake = () => {};
    const done = client.callTool({ name: 'list_slowly', arguments: {} }, undefined, {
      onprogress: (p) => { queue.push(p.message); wake(); },
    }).then((r) => { queue.push(r.content[0].text, undefined); wake(); });
    for (;;) {
      while (queue.length === 0) await new Promise((r) => { wake = r; });
      const next = queue.shift();
      if (next === undefined) return done;
      yield next;
    }
  }
  for await (const p of { [Symbol.asyncIterator]: progress }) { seen.push(p); if (seen.length === 1) await pieces([p]); }
  return seen.join('|');
};
