/** What is limited, and the key that it is counted under. */
export const throttle = `
CREATE TABLE throttle (
  key        text PRIMARY KEY,
  counted_at timestamptz[] NOT NULL,
  expires_at timestamptz NOT NULL
) WITH (fillfactor = 80);
COMMENT ON TABLE throttle IS 'each time that counts under a limit; keys are HMACs, which name nobody';
COMMENT ON COLUMN throttle.expires_at IS 'nothing is told by the row from then on; rounded, so that it seldom moves in its index';
CREATE INDEX throttle_purge ON throttle (expires_at);

ALTER TABLE keys DROP CONSTRAINT keys_purpose_check;
ALTER TABLE keys ADD CONSTRAINT keys_purpose_check
  CHECK (purpose IN ('sign_access', 'refresh_token', 'secret_token', 'pepper', 'identifier'));
`;
