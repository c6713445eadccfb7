import bolt from '@slack/bolt';

// Bolt asks who it is (auth.test) before it says anything.
const app = new bolt.App({ token: process.env.SLACK_BOT_TOKEN, signingSecret: 'unused-here', clientOptions: { retryConfig: { retries: 0 } } });

export const allowed = async () => (await app.client.auth.test()).user_id + (await app.client.chat.postMessage({ channel: 'C0SUPPORT', text: 'hello' })).ts;
export const action = () => app.client.chat.delete({ channel: 'C0SUPPORT', ts: '1.2' });
export const resource = () => app.client.reactions.add({ channel: 'C0FINANCE', name: 'eyes', timestamp: '1.2' });
export const time = () => app.client.conversations.info({ channel: 'C0SUPPORT' });
