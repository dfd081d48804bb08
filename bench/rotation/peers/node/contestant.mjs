// A verifier of the contest in Node, see the package protocol: jose or jwks-rsa
// at its defaults. Usage: node contestant.mjs jose|jwks-rsa
//
// Both libraries look at the clock when they are asked and keep no timer that
// matters, so virtual time is a clock that is set ahead.
import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import jwt from 'jsonwebtoken';
import jwksClient from 'jwks-rsa';

const epoch = Date.UTC(2000, 0, 1);
let ahead = 0; // ms
const started = performance.now();
const realNow = performance.now.bind(performance);
const RealDate = Date;
const now = () => epoch + ahead + (realNow() - started);
globalThis.Date = class extends RealDate {
  constructor(...args) { args.length === 0 ? super(Math.floor(now())) : super(...args); }
  static now() { return Math.floor(now()); }
};
performance.now = () => realNow() + ahead;
const realHR = process.hrtime.bind(process);
const hr = (before) => {
  const [s, ns] = realHR();
  const total = BigInt(s) * 1000000000n + BigInt(ns) + BigInt(Math.round(ahead * 1e6)) -
    (before ? BigInt(before[0]) * 1000000000n + BigInt(before[1]) : 0n);
  return [Number(total / 1000000000n), Number(total % 1000000000n)];
};
hr.bigint = () => realHR.bigint() + BigInt(Math.round(ahead * 1e6));
process.hrtime = hr;

const libraries = {
  jose({ issuer, jwks_uri, audience }) {
    const keys = createRemoteJWKSet(new URL(jwks_uri));
    return (token) => jwtVerify(token, keys, { issuer, audience });
  },
  'jwks-rsa'({ issuer, jwks_uri, audience }) {
    const client = jwksClient({ jwksUri: jwks_uri });
    const key = (header, done) => client.getSigningKey(header.kid, (err, k) => done(err, k?.getPublicKey()));
    return (token) => new Promise((resolve, reject) =>
      jwt.verify(token, key, { algorithms: ['RS256'], issuer, audience }, (err) => (err ? reject(err) : resolve())));
  },
};

const make = libraries[process.argv[2]];
const caches = new Map(); // by issuer: a list of verifiers, one an instance
const verifiers = (question, n) => {
  const list = caches.get(question.issuer) ?? [];
  caches.set(question.issuer, list);
  while (list.length < n) list.push(make(question));
  return list.slice(0, n);
};

const server = createServer(async (req, res) => {
  let text = '';
  for await (const chunk of req) text += chunk;
  const question = JSON.parse(text);
  const answer = (status, body) => {
    res.writeHead(status, { 'content-type': 'application/json' });
    res.end(JSON.stringify(body));
  };
  if (req.url === '/advance') {
    ahead += question.seconds * 1000;
    return answer(200, {});
  }
  const n = question.instances || 1;
  const results = await Promise.allSettled(verifiers(question, n).map((verify) => verify(question.token)));
  const accepted = results.filter((r) => r.status === 'fulfilled').length;
  const refused = results.find((r) => r.status === 'rejected');
  answer(n > 1 || accepted === 1 ? 200 : 401, { accepted, error: refused ? String(refused.reason?.message ?? refused.reason) : undefined });
});
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
