// Prints every method of Slack's Web API with its arguments, read from the types of Slack's own client: methods.json. Run
// by fetch, beside the pinned packages.
//
// Arguments come out of unions, intersections and optional types, so the compiler is asked and the text is not read. The
// names of methods are read from the compiled client as well, and both must say the same.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import ts from 'typescript';

const require = createRequire(import.meta.url);
const dist = path.dirname(require.resolve('@slack/web-api'));
const version = JSON.parse(readFileSync(path.join(dist, '..', 'package.json'), 'utf8')).version;

const file = path.join(dist, 'methods.d.ts');
const program = ts.createProgram([file], { strict: true, skipLibCheck: true, moduleResolution: ts.ModuleResolutionKind.Node10 });
const checker = program.getTypeChecker();
const source = program.getSourceFile(file);
const clientClass = source.statements.find((s) => ts.isClassDeclaration(s) && s.name.text === 'Methods');

const methods = [];

// visit goes down from the class to what can be called.
function visit(type, names) {
  for (const property of type.getProperties()) {
    const at = checker.getTypeOfSymbolAtLocation(property, clientClass);
    const signature = at.getCallSignatures()[0];
    const id = [...names, property.name];
    if (signature && id.join('.') === 'files.uploadV2') continue; // made of three others by the client
    if (signature) {
      methods.push({ id: id.join('.'), arguments: argumentsOf(signature) });
    } else {
      visit(at, id);
    }
  }
}

function argumentsOf(signature) {
  const [parameter] = signature.getParameters();
  if (!parameter) return [];
  const type = checker.getTypeOfSymbolAtLocation(parameter, clientClass);
  const names = new Set();
  for (const one of type.isUnion() ? type.types : [type]) {
    if (one.flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Null)) continue;
    for (const property of checker.getPropertiesOfType(one)) names.add(property.name);
  }
  names.delete('token'); // every method has it, and the gateway takes it out
  return [...names].sort();
}

for (const member of clientClass.members) {
  if (!ts.isPropertyDeclaration(member)) continue;
  visit(checker.getTypeAtLocation(member), [member.name.text]);
}
methods.sort((a, b) => (a.id < b.id ? -1 : 1));

const compiled = readFileSync(path.join(dist, 'methods.js'), 'utf8');
const called = [...compiled.matchAll(/\bbindApiCall(?:WithOptionalArgument)?\(this, '([A-Za-z0-9.]+)'\)/g)].map((m) => m[1]);
if (methods.map((m) => m.id).join() !== [...new Set(called)].sort().join()) {
  throw new Error('the types and the compiled client have different methods');
}
console.log(JSON.stringify({ package: `@slack/web-api@${version}`, methods }, null, 1));
