/** What the clean-up finds old rows by. */
export const cleanUp = `
DROP INDEX sessions_purge;
CREATE INDEX sessions_purge ON sessions (least(ended_at, expires_at));
COMMENT ON INDEX sessions_purge IS 'by when a session was over; a refresh changes neither';

ALTER TABLE users ADD COLUMN unclaimed boolean NOT NULL
  GENERATED ALWAYS AS (email_confirmed_at IS NULL AND last_sign_in_at IS NULL) STORED;
COMMENT ON COLUMN users.unclaimed IS 'a column, since a sign-in is HOT only while no index names last_sign_in_at';
CREATE INDEX users_purge ON users (created_at) WHERE unclaimed;
`;
