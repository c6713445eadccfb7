// Searches everything this process can read for keys. It is told only where a key's text begins,
// how long the key is and its SHA-256, so that the search itself does not put the key there.
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

const chunk = 1 << 20;
const skip = /^\/(sys|dev|proc)(\/|$)/;

// search returns for each needle {name, prefix, length, sha256} in how many places it was found, and where.
export function search(needles, roots) {
  const found = Object.fromEntries(needles.map((needle) => [needle.name, { environment: 0, files: [], memory: 0 }]));
  const scanned = { variables: 0, files: 0, fileBytes: 0, memoryRegions: 0, memoryBytes: 0 };
  for (const [name, value] of Object.entries(process.env)) {
    scanned.variables++;
    for (const needle of hits(Buffer.from(`${name}=${value}`), needles)) found[needle.name].environment++;
  }
  for (const file of [...roots.flatMap((root) => [...files(root)]), ...processes()]) {
    const bytes = scanFile(file, needles, (needle) => found[needle.name].files.push(file));
    if (bytes === undefined) continue;
    scanned.files++;
    scanned.fileBytes += bytes;
  }
  scanMemory(needles, scanned, (needle) => found[needle.name].memory++);
  return { scanned, found };
}

// hits yields every needle for each place of the buffer where it stands in full.
function* hits(buffer, needles) {
  for (const needle of needles) {
    for (let at = buffer.indexOf(needle.prefix); at >= 0; at = buffer.indexOf(needle.prefix, at + 1)) {
      const candidate = buffer.subarray(at, at + needle.length);
      if (candidate.length === needle.length && createHash('sha256').update(candidate).digest('hex') === needle.sha256) yield needle;
    }
  }
}

// files yields every file below a directory that is worth reading; links are not followed.
function* files(directory) {
  let entries;
  try {
    entries = fs.readdirSync(directory, { withFileTypes: true });
  } catch {
    return;
  }
  for (const entry of entries) {
    const file = path.join(directory, entry.name);
    if (skip.test(file) || file.startsWith('/app/node_modules')) continue;
    if (entry.isDirectory()) yield* files(file);
    else if (entry.isFile() || mountedSecret(file)) yield file;
  }
}

// processes lists what /proc tells about every process that can be seen.
function processes() {
  const ids = fs.readdirSync('/proc').filter((name) => /^(\d+|self)$/.test(name));
  return ids.flatMap((id) => ['environ', 'cmdline'].map((file) => `/proc/${id}/${file}`));
}

// Mounted Secrets and ConfigMaps are links to the current version: those are read.
const mountedSecret = (file) => file.startsWith('/etc/') || file.startsWith('/var/run/') || file.startsWith('/run/');

function scanFile(file, needles, report) {
  let descriptor;
  try {
    descriptor = fs.openSync(file, fs.constants.O_RDONLY | fs.constants.O_NONBLOCK);
    return scan((buffer) => fs.readSync(descriptor, buffer, 0, buffer.length, null), needles, report, 256 << 20);
  } catch {
    return undefined;
  } finally {
    if (descriptor !== undefined) fs.closeSync(descriptor);
  }
}

// scanMemory reads its own memory, region by region.
function scanMemory(needles, scanned, report) {
  const memory = fs.openSync('/proc/self/mem', 'r');
  try {
    for (const line of fs.readFileSync('/proc/self/maps', 'utf8').split('\n')) {
      const [, from, to] = /^([0-9a-f]+)-([0-9a-f]+) r/.exec(line) ?? [];
      if (!from || line.includes('[v')) continue; // vvar, vsyscall: the kernel's
      let position = BigInt(`0x${from}`);
      const end = BigInt(`0x${to}`);
      try {
        scanned.memoryBytes += scan((buffer) => {
          const want = Number(end - position < BigInt(buffer.length) ? end - position : BigInt(buffer.length));
          const got = want > 0 ? fs.readSync(memory, buffer, 0, want, position) : 0;
          position += BigInt(got);
          return got;
        }, needles, report, Infinity);
        scanned.memoryRegions++;
      } catch {
        // a region that cannot be read holds nothing that can be stolen
      }
    }
  } finally {
    fs.closeSync(memory);
  }
}

// scan reads to the end, in pieces that overlap by more than the longest needle.
function scan(read, needles, report, most) {
  const overlap = Math.max(...needles.map((needle) => needle.length));
  const buffer = Buffer.alloc(chunk + overlap);
  let kept = 0;
  let total = 0;
  while (total < most) {
    const got = read(buffer.subarray(kept, kept + chunk));
    if (got === 0) break;
    total += got;
    const filled = kept + got;
    for (const needle of hits(buffer.subarray(0, filled), needles)) report(needle);
    kept = Math.min(overlap, filled);
    buffer.copyWithin(0, filled - kept, filled);
  }
  return total;
}
