// Put here by `claw observe`: tells Claw, outside, which package of this program opens a connection. `--no-packages` leaves it out.
// It reads stacks and sends one datagram to Claw; whatever fails in it is passed over.
'use strict';
try {
  const [, host, port] = /^(.*):(\d+)$/.exec(process.env.CLAW_PACKAGES || '') || [];
  const dgram = host && require('dgram');
  const net = host && require('net');
  // what speaks for others: the package that uses it is meant
  const carriers = new Set([
    'agent-base', 'agentkeepalive', 'axios', 'axios-retry', 'cross-fetch', 'follow-redirects', 'gaxios', 'got', 'http-proxy-agent',
    'https-proxy-agent', 'isomorphic-fetch', 'isomorphic-ws', 'ky', 'make-fetch-happen', 'minipass-fetch', 'needle', 'node-fetch',
    'node-fetch-native', 'npm-registry-fetch', 'ofetch', 'p-retry', 'proxy-agent', 'request', 'retry', 'socks', 'socks-proxy-agent',
    'superagent', 'teeny-request', 'undici', 'whatwg-fetch', 'ws',
  ]);

  const packageOf = (path) => {
    const at = path ? path.lastIndexOf('/node_modules/') : -1;
    if (at < 0) return undefined;
    const parts = path.slice(at + 14).split('/');
    return parts[0].startsWith('@') ? parts.slice(0, 2).join('/') : parts[0];
  };

  const stack = () => {
    const { prepareStackTrace, stackTraceLimit } = Error;
    try {
      Error.stackTraceLimit = 64;
      Error.prepareStackTrace = (_, sites) => sites;
      const sites = new Error().stack;
      for (const site of Array.isArray(sites) ? sites : []) {
        const name = packageOf(site.getFileName());
        if (name && !carriers.has(name)) return name;
      }
    } finally {
      Error.prepareStackTrace = prepareStackTrace;
      Error.stackTraceLimit = stackTraceLimit;
    }
    return undefined;
  };

  // both look-ups answer at once, so that the datagram is on its way before the connection is
  const lookup = (name, options, done) => (done || options)(null, name || '0.0.0.0', 4);
  const tell = (to, at) => {
    const name = to && at && stack();
    if (!name) return;
    const sender = dgram.createSocket({ type: 'udp4', lookup });
    sender.on('error', () => {});
    sender.unref();
    sender.send(`${process.pid}\t${to}\t${at}\t${name}`, Number(port), host, () => sender.close());
  };

  if (host) {
    const { connect } = net.Socket.prototype;
    net.Socket.prototype.connect = function (...words) {
      try {
        // `net.connect` has put them in order already
        const [first, second] = Array.isArray(words[0]) ? words[0] : words;
        if (first && typeof first === 'object') tell(first.host || 'localhost', first.path ? 0 : first.port);
        else tell(typeof second === 'string' ? second : 'localhost', Number(first));
      } catch {}
      return connect.apply(this, words);
    };
    const own = Object.getOwnPropertyDescriptor(globalThis, 'fetch');
    if (own && typeof own.value === 'function') {
      const { fetch } = {
        fetch(input, init) {
          try {
            const url = new URL(input && input.url ? input.url : input);
            tell(url.hostname.replace(/^\[|\]$/g, ''), Number(url.port) || (url.protocol === 'http:' ? 80 : 443));
          } catch {}
          return own.value.apply(this, arguments);
        },
      };
      Object.defineProperty(fetch, 'length', Object.getOwnPropertyDescriptor(own.value, 'length'));
      Object.defineProperty(globalThis, 'fetch', { ...own, value: fetch });
    }
  }
} catch {}
