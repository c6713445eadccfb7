// Prints linear.operations.yaml: what of Linear's GraphQL may be asked, made of the documents of Linear's own client that
// read issues, so that its calls are understood. Run by fetch, beside the pinned packages.
//
// GraphQL goes from any object to any other, so nothing is listed but the fields of what was asked for itself, and ids of
// what it is beside. A document that goes further, or has a field whose name says that it opens something, fails until
// somebody decides about it here.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { parse } from 'graphql';

const require = createRequire(import.meta.url);
const sdk = path.dirname(require.resolve('@linear/sdk'));
const version = JSON.parse(readFileSync(path.join(sdk, '..', 'package.json'), 'utf8')).version;
const source = readFileSync(path.join(sdk, 'index.mjs'), 'utf8');

// The documents, and those of their arguments that choose what is seen by what is elsewhere.
const documents = ['Viewer', 'Teams', 'Team', 'Team_Issues', 'Team_States', 'Team_Labels', 'Issue'];
const choosing = ['filter'];
// Objects that belong to what was asked for: all of them is shown. Of others it is the id.
const within = ['nodes', 'pageInfo', 'reactions', 'botActor', 'syncedWith', 'metadata', 'sharedAccess', 'sharedWithUsers', 'issues', 'states', 'labels'];
// Fields that let their reader in somewhere: the client asks for them, and the agent does not see them.
const opening = ['inviteHash', 'calendarHash', 'cycleCalenderUrl', 'sharedAccess', 'inviteUrl'];
const suspicious = /hash|token|secret|password|calend|invite/i;
// The client's documents for what is below an issue do not say whose it is: these are ours.
const own = ['id', 'body', 'url', 'createdAt', 'updatedAt', 'editedAt', 'user.id', 'user.name', 'user.displayName', 'parent.id'].map((f) => `issue.comments(first,after,last,before).nodes.${f}`)
  .concat(['startCursor', 'endCursor', 'hasPreviousPage', 'hasNextPage'].map((f) => `issue.comments.pageInfo.${f}`))
  .concat(['state.name', 'state.type', 'team.key', 'team.name', 'assignee.name', 'creator.name', 'labels.nodes.id', 'labels.nodes.name'].map((f) => `issue.${f}`));

const queries = new Set();
const arguments_ = new Set();
const remove = new Set();

for (const name of documents) {
  const text = source.match(new RegExp(`const ${name}Document = new TypedDocumentString\\(\`([\\s\\S]*?)\``))?.[1];
  if (!text) throw new Error(`the client has no document ${name}`);
  const definitions = parse(text).definitions;
  const fragments = Object.fromEntries(definitions.filter((d) => d.kind === 'FragmentDefinition').map((d) => [d.name.value, d]));
  walk(definitions.find((d) => d.kind === 'OperationDefinition').selectionSet, fragments, []);
}

function walk(selections, fragments, at) {
  for (const field of selections.selections) {
    if (field.kind === 'FragmentSpread') walk(fragments[field.name.value].selectionSet, fragments, at);
    else if (field.kind === 'InlineFragment') walk(field.selectionSet, fragments, at);
    else if (field.name.value !== '__typename') see(field, fragments, at);
  }
}

function see(field, fragments, at) {
  const name = field.name.value;
  const names = [...at.map((f) => f.name), name];
  const args = field.arguments.map((a) => a.name.value);
  const step = { name, text: args.length ? `${name}(${args.map((a) => (a === 'id' ? 'id!' : a)).join(',')})` : name };
  for (const a of args) if (choosing.includes(a)) arguments_.add(`argument.${names.join('.')}.${a}`);
  const hidden = names.findIndex((n) => opening.includes(n));
  if (hidden >= 0) remove.add(`data.${names.slice(0, hidden + 1).map((n) => (n === 'nodes' ? 'nodes[]' : n)).join('.')}`);
  if (field.selectionSet) return walk(field.selectionSet, fragments, [...at, step]);
  const beside = at.slice(1).find((f) => !within.includes(f.name));
  if (beside && name !== 'id') throw new Error(`${names.join('.')}: is that part of what was asked for? Put ${beside.name} into "within", if so`);
  if (hidden < 0 && suspicious.test(name)) throw new Error(`${names.join('.')}: does it open something? Put it into "opening", if so`);
  queries.add([...at, step].map((f) => f.text).join('.'));
}

const team = (at, ...from) => ({ at, optional: true, resource: { type: 'team', from } });
const operation = {
  id: 'graphql',
  methods: ['POST'],
  path: '/graphql',
  bodies: ['GraphQL'],
  action: 'Read',
  queries: [...queries, ...own],
  resources: [
    { type: 'team', optional: true, from: ['argument.team.id'] },
    ...[...arguments_].sort().map((at) => ({ type: 'team', optional: true, from: [at] })),
  ],
  response: {
    filters: [team('data.issue', 'team.id'), team('data.team.issues.nodes[]', 'team.id'), team('data.teams.nodes[]', 'id')],
    remove: [...remove].sort(),
  },
};
console.log(`# Generated from @linear/sdk@${version} by hack/catalogue/linear; change what is decided there, not this file.`);
console.log(`operations:\n- ${JSON.stringify(operation)}`);
