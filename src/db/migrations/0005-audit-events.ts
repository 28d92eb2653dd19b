/** What happened to accounts, sessions and keys, and what was refused. */
export const auditEvents = `
CREATE TABLE audit_events (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tx          xid8 NOT NULL DEFAULT pg_current_xact_id(),
  created_at  timestamptz NOT NULL DEFAULT now(),
  type        text NOT NULL,
  reason      text,
  user_id     bigint,
  actor       text NOT NULL,
  session_id  uuid,
  address     inet,
  device_name text,
  detail      text,
  count       integer NOT NULL DEFAULT 1
);
COMMENT ON TABLE audit_events IS 'no foreign keys: an event outlives user and session';
COMMENT ON COLUMN audit_events.type IS 'no check: in a rolling upgrade, processes know different types';
COMMENT ON COLUMN audit_events.tx IS 'who follows the log must not miss what commits late: ids do not tell that';
CREATE INDEX audit_events_user ON audit_events (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX audit_events_tx ON audit_events (tx);
CREATE INDEX audit_events_purge ON audit_events (created_at);
`;
