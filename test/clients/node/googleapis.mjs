import { google } from 'googleapis';

const auth = new google.auth.OAuth2();
auth.setCredentials({ access_token: process.env.GOOGLE_ACCESS_TOKEN });
google.options({ auth, retry: false });
const gmail = google.gmail('v1');
const calendar = google.calendar('v3');
const drive = google.drive('v3');
const mailTo = (to) => Buffer.from(`From: support@acme.example\r\nTo: ${to}\r\nSubject: Hello\r\nContent-Type: text/plain\r\n\r\nHello.\r\n`).toString('base64url');

export const allowed = async () => (await calendar.events.insert({
  calendarId: 'support@acme.example', requestBody: { summary: 'Call', start: { dateTime: '2026-12-01T10:00:00Z' }, end: { dateTime: '2026-12-01T11:00:00Z' } },
})).data.id;
export const mail = async () => (await gmail.users.messages.get({ userId: 'me', id: 'm1' })).data.snippet;
export const send = async () => (await gmail.users.messages.send({ userId: 'me', requestBody: { raw: mailTo('lee@acme.example') } })).data.id;
export const sendElsewhere = () => gmail.users.messages.send({ userId: 'me', requestBody: { raw: mailTo('attacker@elsewhere.example') } });
export const action = () => calendar.events.delete({ calendarId: 'support@acme.example', eventId: 'e1' });
export const resource = () => calendar.events.list({ calendarId: 'ceo@acme.example' });
export const service = () => drive.about.get({ fields: 'user' });
export const time = () => calendar.events.get({ calendarId: 'support@acme.example', eventId: 'e1' });
export const stream = async ({ pieces }) => {
  const { data } = await drive.files.get({ fileId: 'file-1', alt: 'media' }, { responseType: 'stream' });
  return (await pieces(data)).length;
};
