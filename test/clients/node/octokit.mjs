import { Octokit } from 'octokit';

const quiet = { debug() {}, info() {}, warn() {}, error() {} };
const client = new Octokit({ auth: process.env.GITHUB_TOKEN, log: quiet, retry: { enabled: false }, throttle: { enabled: false } });
const widgets = { owner: 'Acme', repo: 'Widgets' };

export const allowed = async () => (await client.rest.issues.create({ ...widgets, title: 'It is broken', labels: ['bug'] })).data.number;
export const contents = async () => (await client.rest.repos.getContent({ ...widgets, path: 'docs/read me.md' })).data.name;
export const comments = async () => (await client.paginate(client.rest.issues.listComments, { ...widgets, issue_number: 7 })).map((c) => c.body).join('|');
export const action = () => client.rest.repos.delete(widgets);
export const resource = () => client.rest.issues.create({ owner: 'acme', repo: 'payroll', title: 'hello' });
export const graphql = () => client.graphql('mutation { deleteRef(input: {refId: "x"}) { clientMutationId } }');
export const time = () => client.rest.issues.get({ ...widgets, issue_number: 7 });
export const stream = async ({ pieces }) => {
  const { data } = await client.request('GET /repos/{owner}/{repo}/contents/{path}', {
    ...widgets, path: 'large.bin', mediaType: { format: 'raw' }, request: { parseSuccessResponseBody: false },
  });
  return (await pieces(data)).length;
};
