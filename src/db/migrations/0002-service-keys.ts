/** Keys of other services. */
export const serviceKeys = `
CREATE TABLE service_keys (
  id           text PRIMARY KEY,
  name         text NOT NULL UNIQUE,
  secret_hash  bytea NOT NULL,
  scopes       text[] NOT NULL CHECK (scopes <@ ARRAY['introspect', 'watch', 'admin', 'gateway']),
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz,
  revoked_at   timestamptz,
  last_used_at timestamptz
);
COMMENT ON COLUMN service_keys.secret_hash IS 'SHA-256 of the whole key: it has 256 random bits';
`;
