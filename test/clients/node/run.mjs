// Runs the scenarios of one client as they are named on standard input, a line each, and answers each with a line of
// JSON: what the client returned, or how it failed. A client's module gives one function for each scenario.
import { createInterface } from 'node:readline';

const scenarios = await import(`./${process.argv[2]}.mjs`);
const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);

// pieces reads something that streams, and tells when the first piece is there: the provider sends no more before that.
async function pieces(stream, textOf = (piece) => Buffer.from(piece).toString()) {
  let text = '';
  let first = true;
  for await (const piece of stream) {
    text += textOf(piece) ?? '';
    if (first && text !== '') {
      say({ first: true });
      first = false;
    }
  }
  return text;
}

for await (const name of createInterface({ input: process.stdin })) {
  try {
    say({ ok: true, text: String(await scenarios[name]({ pieces })) });
  } catch (error) {
    say({ ok: false, text: `${error?.name}: ${error?.message} ${JSON.stringify(error?.data ?? error?.response?.data ?? '')}` });
  }
}
process.exit(0);
