// Raw sockets: what an attacker uses, not what an SDK does. Proxy settings do not reach here.
import dgram from 'node:dgram';
import { promises as resolver } from 'node:dns';
import net from 'node:net';
import os from 'node:os';
import tls from 'node:tls';

const patience = 2000; // milliseconds after which nobody will answer

// connect opens a TCP connection and says what it reached.
export function connect(host, port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: host.replace('%if', `%${linkName()}`), port, timeout: patience });
    const fail = (code) => {
      socket.destroy();
      reject(Object.assign(new Error(code), { code }));
    };
    socket.on('connect', () => {
      socket.destroy();
      resolve(`connected to ${host}:${port}`);
    });
    socket.on('timeout', () => fail('no answer'));
    socket.on('error', (error) => fail(error.code));
  });
}

// linkName is the name of the first real interface, as link-local addresses want it.
const linkName = () => Object.keys(os.networkInterfaces()).find((name) => name !== 'lo') ?? 'eth0';

// lookup asks the resolver the pod was given.
export const lookup = (name) => new resolver.Resolver({ timeout: patience, tries: 1 }).resolve4(name);

// query asks one DNS server over UDP, and takes any answer at all for success.
export function query(server, name) {
  const labels = name.split('.').flatMap((label) => [label.length, ...Buffer.from(label)]);
  const packet = Buffer.from([0x13, 0x37, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, ...labels, 0, 0, 1, 0, 1]);
  return new Promise((resolve, reject) => {
    const socket = dgram.createSocket('udp4');
    const done = (settle, value) => {
      clearTimeout(timer);
      socket.close();
      settle(value);
    };
    const timer = setTimeout(() => done(reject, Object.assign(new Error('no answer'), { code: 'no answer' })), patience);
    socket.on('message', () => done(resolve, `${server} answered`));
    socket.on('error', (error) => done(reject, error));
    socket.send(packet, 53, server);
  });
}

// proxied asks the gateway's own proxy for a way out: to any target, under any name, with or
// without the password. "sni" is sent inside the tunnel, where one was opened.
export function proxied({ target, sni, password = true }) {
  const proxy = new URL(process.env.HTTPS_PROXY);
  const credentials = Buffer.from(`${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`).toString('base64');
  const authorization = password ? `Proxy-Authorization: Basic ${credentials}\r\n` : '';
  return new Promise((resolve, reject) => {
    const fail = (code) => {
      socket.destroy();
      reject(Object.assign(new Error(code), { code }));
    };
    const socket = net.connect({ host: proxy.hostname, port: proxy.port, timeout: patience }, () =>
      socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n${authorization}\r\n`));
    socket.on('timeout', () => fail('no answer'));
    socket.on('error', (error) => fail(error.code));
    socket.on('close', () => fail('closed'));
    socket.once('data', (data) => {
      const status = data.toString().split('\r\n')[0];
      if (!status.includes(' 200')) return fail(status.replace(/^HTTP\/1\.[01] /, ''));
      if (!sni) return resolve(status);
      const inner = tls.connect({ socket, servername: sni, rejectUnauthorized: false }, () => resolve(`TLS as ${sni}`));
      inner.on('error', (error) => fail(error.code ?? error.message));
      inner.on('close', () => fail('closed'));
    });
  });
}
