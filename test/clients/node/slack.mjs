import { WebClient } from '@slack/web-api';

const client = new WebClient(process.env.SLACK_BOT_TOKEN, { retryConfig: { retries: 0 }, rejectRateLimitedCalls: true });

export const allowed = async () => (await client.chat.postMessage({ channel: 'C0SUPPORT', text: 'hello', blocks: [{ type: 'divider' }] })).ts;
export const history = async () => (await client.conversations.history({ channel: 'C0SUPPORT', limit: 50 })).messages.map((m) => m.text).join('|');
export const action = () => client.chat.delete({ channel: 'C0SUPPORT', ts: '1.2' });
export const resource = () => client.chat.postMessage({ channel: 'C0FINANCE', text: 'hello' });
export const time = () => client.conversations.info({ channel: 'C0SUPPORT' });
