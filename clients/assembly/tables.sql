-- Times are seconds since 1970. Of secrets that we only have to recognise, the SHA-256 digest is kept.

CREATE TABLE IF NOT EXISTS invite_codes (
  digest BLOB PRIMARY KEY,
  note TEXT NOT NULL,
  uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
  expires_at REAL NOT NULL
);

CREATE TABLE IF NOT EXISTS accounts (
  id INTEGER PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,
  password_hash TEXT NOT NULL,
  terms_version TEXT NOT NULL,      -- of the terms of service that were accepted
  created_at REAL NOT NULL,
  activated_at REAL,
  activation_digest BLOB UNIQUE,    -- of the newest link alone
  activation_expires_at REAL,
  contact_name TEXT,                -- as given with Grant Access
  urn TEXT,                         -- the school that was chosen: its number in the national register
  school_name TEXT,
  school_place TEXT,
  mis TEXT,
  estab_id TEXT                     -- set when this person has signed in with that school's account
);

-- Forgotten passwords: one row for each account that has asked, with the newest link and what was asked in a day.
CREATE TABLE IF NOT EXISTS password_resets (
  account_id INTEGER PRIMARY KEY REFERENCES accounts (id),
  digest BLOB UNIQUE,               -- of the newest link, until it is used
  expires_at REAL,
  requested_at REAL NOT NULL,
  since REAL NOT NULL,              -- when the day began in which `count` mails were asked for
  count INTEGER NOT NULL
);

-- Mails to send. They are written when they are sent, so that no link waits here.
CREATE TABLE IF NOT EXISTS mails (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  account_id INTEGER NOT NULL REFERENCES accounts (id),
  due_at REAL NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0
);
UPDATE mails SET kind = 'already_registered' WHERE kind = 'known';  -- as earlier versions wrote it

CREATE TABLE IF NOT EXISTS failed_sign_ins (email_digest BLOB NOT NULL, at REAL NOT NULL);

-- Signed-in browsers: by password (account_id), by school account (sub, sid, estab_id …), or both.
CREATE TABLE IF NOT EXISTS sign_ins (
  digest BLOB PRIMARY KEY,
  account_id INTEGER REFERENCES accounts (id),
  estab_id TEXT,
  sub TEXT,
  sid TEXT,
  id_token TEXT,
  claims TEXT,                      -- of the ID Token, as JSON
  about TEXT,                       -- the userinfo, as JSON
  expires_at REAL NOT NULL
);

-- Browsers that are away at the provider.
CREATE TABLE IF NOT EXISTS pending_sign_ins (
  state_digest BLOB PRIMARY KEY,
  browser TEXT NOT NULL,
  nonce TEXT NOT NULL,
  code_verifier TEXT NOT NULL,
  expires_at REAL NOT NULL
);

-- Invitations that we ask the provider to send. `state` is ours ("sending", "refused") or the provider's.
CREATE TABLE IF NOT EXISTS invitations (
  idempotency_key TEXT PRIMARY KEY,
  account_id INTEGER NOT NULL REFERENCES accounts (id),
  request TEXT NOT NULL,            -- the JSON document that is sent, the same each time
  provider_id TEXT,
  state TEXT NOT NULL,
  problem TEXT,                     -- why it was refused
  forwarded_to TEXT,
  created_at REAL NOT NULL,
  checked_at REAL NOT NULL
);

-- Schools that share with us, or did.
CREATE TABLE IF NOT EXISTS connections (
  estab_id TEXT PRIMARY KEY,
  urn TEXT,
  school TEXT,                      -- what /api/schools says of it, as JSON
  etag TEXT,
  checked_at REAL NOT NULL DEFAULT 0,
  refresh_token TEXT,
  access_token TEXT,
  access_until REAL NOT NULL DEFAULT 0,
  scope TEXT NOT NULL DEFAULT '',
  withheld_scope TEXT NOT NULL DEFAULT '',
  refresh_claimed_until REAL NOT NULL DEFAULT 0,
  received TEXT,                    -- the last response of the API with the data, as JSON
  received_at REAL,
  disconnected_at REAL
);
CREATE INDEX IF NOT EXISTS connections_by_urn ON connections (urn);

-- Up to which change all pages of `/api/schools` have been read.
CREATE TABLE IF NOT EXISTS schools_read (id INTEGER PRIMARY KEY CHECK (id = 1), changed_at TEXT NOT NULL);

-- Refresh tokens that we need no more, until the provider has been told.
CREATE TABLE IF NOT EXISTS tokens_to_revoke (refresh_token TEXT PRIMARY KEY);

-- Events and logout tokens that have arrived; `handled_at` is empty until we have done what follows from one.
CREATE TABLE IF NOT EXISTS received_tokens (
  jti TEXT PRIMARY KEY,
  estab_id TEXT,
  name TEXT NOT NULL,
  received_at REAL NOT NULL,
  handled_at REAL
);
