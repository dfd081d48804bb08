import { createServer } from 'node:http';
import { createRemoteJWKSet, jwtVerify } from 'jose';

const sets = new Map(); // one cache an issuer
createServer(async (req, res) => {
  if (req.url !== '/verify') return res.writeHead(404).end(); // no virtual time
  let body = '';
  for await (const chunk of req) body += chunk;
  const { issuer, jwks_uri, audience, token } = JSON.parse(body);
  if (!sets.has(issuer)) sets.set(issuer, createRemoteJWKSet(new URL(jwks_uri)));
  const ok = await jwtVerify(token, sets.get(issuer), { issuer, audience }).then(() => true, () => false);
  res.writeHead(ok ? 200 : 401).end();
}).listen(9000, '127.0.0.1');
