/** Accounts, sessions, single-use tokens, revocations, wrapped keys and mails. */
export const accounts = `
CREATE TABLE users (
  id                 bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY CHECK (id < 9007199254740992),
  username           text NOT NULL,
  username_key       text COLLATE "C" NOT NULL UNIQUE,
  email              text NOT NULL,
  email_key          text COLLATE "C" NOT NULL UNIQUE,
  email_confirmed_at timestamptz,
  password_hash      text,
  password_contested boolean NOT NULL DEFAULT false,
  is_active          boolean NOT NULL DEFAULT true,
  blocked_until      timestamptz CHECK (blocked_until IS NULL OR NOT is_active),
  block_reason       text,
  roles              text[] NOT NULL DEFAULT '{}',
  locale             text NOT NULL DEFAULT 'en',
  created_at         timestamptz NOT NULL DEFAULT now(),
  last_sign_in_at    timestamptz
);
COMMENT ON COLUMN users.username_key IS 'canonical; COLLATE "C": the unique index also serves prefix search and pages';
COMMENT ON COLUMN users.password_hash IS 'null: must be chosen by a reset';
COMMENT ON COLUMN users.password_contested IS 'the unconfirmed address was signed up again with another password';

CREATE TABLE sessions (
  id                uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id           bigint NOT NULL REFERENCES users ON DELETE CASCADE,
  rotates           boolean NOT NULL,
  refresh_counter   bigint NOT NULL DEFAULT 0,
  refreshed_at      timestamptz NOT NULL DEFAULT now(),
  idle_expires_at   timestamptz NOT NULL,
  expires_at        timestamptz NOT NULL,
  access_expires_at timestamptz NOT NULL,
  ended_at          timestamptz,
  end_reason        text CHECK ((end_reason IS NULL) = (ended_at IS NULL)),
  device_name       text NOT NULL DEFAULT '',
  address           inet,
  created_at        timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80);
COMMENT ON TABLE sessions IS 'no index on a column that a refresh changes, and room in each page: its UPDATE stays HOT';
COMMENT ON COLUMN sessions.access_expires_at IS 'latest exp of any access token minted for it';
CREATE INDEX sessions_live ON sessions (user_id, created_at) WHERE ended_at IS NULL;
CREATE INDEX sessions_purge ON sessions (expires_at);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE secret_tokens (
  id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  user_id         bigint NOT NULL REFERENCES users ON DELETE CASCADE,
  purpose         text NOT NULL CHECK (purpose IN ('confirm_email', 'reset_password')),
  email           text NOT NULL,
  created_at      timestamptz NOT NULL DEFAULT now(),
  expires_at      timestamptz NOT NULL,
  code_expires_at timestamptz,
  code_tries      smallint NOT NULL DEFAULT 0,
  used_at         timestamptz,
  superseded_at   timestamptz
);
COMMENT ON TABLE secret_tokens IS 'a token is id + HMAC, a code HMAC mod 10^6: nothing secret at rest';
CREATE INDEX secret_tokens_user ON secret_tokens (user_id, purpose, created_at DESC);
CREATE INDEX secret_tokens_purge ON secret_tokens (expires_at);

CREATE TABLE revocations (
  session_id uuid PRIMARY KEY,
  tx         xid8 NOT NULL DEFAULT pg_current_xact_id(),
  expires_at timestamptz NOT NULL
);
COMMENT ON TABLE revocations IS 'no foreign key: a revocation outlives session and user';
CREATE INDEX revocations_tx ON revocations (tx);
CREATE INDEX revocations_expires ON revocations (expires_at);

CREATE TABLE keys (
  id          text PRIMARY KEY,
  purpose     text NOT NULL CHECK (purpose IN ('sign_access', 'refresh_token', 'secret_token', 'pepper')),
  alg         text,
  public_jwk  jsonb,
  wrapped     bytea NOT NULL,
  active_from timestamptz NOT NULL DEFAULT now(),
  retire_at   timestamptz,
  created_at  timestamptz NOT NULL DEFAULT now(),
  CHECK ((purpose = 'sign_access') = (alg IS NOT NULL AND public_jwk IS NOT NULL))
);
COMMENT ON COLUMN keys.wrapped IS 'AES-256-GCM under HKDF(SECRET_KEY), aad = id and purpose';

CREATE TABLE mails (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  user_id         bigint REFERENCES users ON DELETE CASCADE,
  template        text NOT NULL,
  recipient       text NOT NULL,
  secret_token_id uuid REFERENCES secret_tokens ON DELETE CASCADE,
  state           text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sent', 'failed')),
  attempts        integer NOT NULL DEFAULT 0,
  last_error      text,
  created_at      timestamptz NOT NULL DEFAULT now(),
  give_up_at      timestamptz NOT NULL,
  sent_at         timestamptz
);
COMMENT ON TABLE mails IS 'graphile_worker holds the job of a queued one, with job_key mail:<id>';
CREATE INDEX mails_user ON mails (user_id, id);
CREATE INDEX mails_token ON mails (secret_token_id);
CREATE INDEX mails_purge ON mails (created_at);
`;
