// node-oidc-provider as a peer: `node node_oidc_provider.mjs PORT CODES FILE [postgresql://…]`.
//
// It keeps what it issues in a Map, or in one table of PostgreSQL: the package brings no database of its own. CODES
// authorization codes and the session of a person who is signed in are made beforehand and written to FILE, as JSON;
// then it serves.

import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';

import Provider from 'oidc-provider';

const [port, count, file, database] = process.argv.slice(2);
const CALLBACK = 'https://assembly.example/callback';
const CHALLENGE = process.env.CHALLENGE;
const PERSON = process.env.PERSON;
const SECRET = process.env.SECRET;

class InMemory {
  static rows = new Map();

  constructor(model) {
    this.model = model;
  }

  key(id) {
    return `${this.model}:${id}`;
  }

  async upsert(id, payload) {
    InMemory.rows.set(this.key(id), payload);
  }

  async find(id) {
    return InMemory.rows.get(this.key(id));
  }

  async consume(id) {
    InMemory.rows.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }

  async destroy(id) {
    InMemory.rows.delete(this.key(id));
  }
}

class InPostgres {
  static pool;

  constructor(model) {
    this.model = model;
  }

  async query(name, text, ...values) {
    return (await InPostgres.pool.query({ name, text, values: [this.model, ...values] })).rows[0];
  }

  async upsert(id, payload, expiresIn) {
    await this.query(
      'upsert',
      `INSERT INTO kept VALUES ($1, $2, $3, $4, now() + $5 * interval '1 second')
       ON CONFLICT (model, id) DO UPDATE SET payload = $3, expires_at = excluded.expires_at`,
      id, payload, payload.grantId ?? null, expiresIn ?? 86400,
    );
  }

  async find(id) {
    const row = await this.query('find', 'SELECT payload FROM kept WHERE model = $1 AND id = $2', id);
    return row?.payload;
  }

  async consume(id) {
    await this.query(
      'consume',
      `UPDATE kept SET payload = jsonb_set(payload, '{consumed}', to_jsonb(extract(epoch FROM now())::bigint))
       WHERE model = $1 AND id = $2`,
      id,
    );
  }

  async destroy(id) {
    await this.query('destroy', 'DELETE FROM kept WHERE model = $1 AND id = $2', id);
  }

  static async prepare(address) {
    const { default: pg } = await import('pg');
    InPostgres.pool = new pg.Pool({ connectionString: address, max: 4 });
    await InPostgres.pool.query(
      `CREATE TABLE kept (model text, id text, payload jsonb NOT NULL, grant_id text,
       expires_at timestamptz NOT NULL, PRIMARY KEY (model, id));
       CREATE INDEX ON kept (expires_at); CREATE INDEX ON kept (grant_id)`,
    );
  }
}

if (database) {
  await InPostgres.prepare(database);
}
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const api = {
  scope: 'schools.list', accessTokenFormat: 'jwt', audience: 'https://api.example', jwt: { sign: { alg: 'ES256' } },
};
const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: database ? InPostgres : InMemory,
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' }] },
  clients: [
    {
      client_id: 'itself', client_secret: SECRET, grant_types: ['client_credentials'], redirect_uris: [],
      response_types: [], id_token_signed_response_alg: 'ES256',
    },
    {
      client_id: 'web', client_secret: SECRET, grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: [CALLBACK], id_token_signed_response_alg: 'ES256',
    },
  ],
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true },
    resourceIndicators: { enabled: true, getResourceServerInfo: () => api, useGrantedResource: () => true },
  },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  issueRefreshToken: () => true,
  ttl: {
    AuthorizationCode: 3600, Grant: 3600, RefreshToken: 3600, AccessToken: 3600, ClientCredentials: 600, IdToken: 600,
    Session: 3600,
  },
});

const client = await provider.Client.find('web');

async function newGrant() {
  const grant = new provider.Grant({ accountId: PERSON, clientId: 'web' });
  grant.addOIDCScope('openid offline_access');
  return grant.save();
}

async function newCode() {
  const code = new provider.AuthorizationCode({
    accountId: PERSON, client, grantId: await newGrant(), scope: 'openid offline_access', redirectUri: CALLBACK,
    codeChallenge: CHALLENGE, codeChallengeMethod: 'S256', nonce: 'n'.repeat(20),
    authTime: Math.floor(Date.now() / 1000),
  });
  return code.save();
}

async function newSession() {
  const session = new provider.Session();
  session.loginAccount({ accountId: PERSON });
  session.ensureClientContainer('web');
  session.grantIdFor('web', await newGrant());
  return session.save(3600);
}

const codes = [];
while (codes.length < Number(count)) {
  codes.push(...await Promise.all(Array.from({ length: 100 }, newCode)));
}
writeFileSync(file, JSON.stringify({ codes, session: await newSession() }));
provider.listen(Number(port), '127.0.0.1');
