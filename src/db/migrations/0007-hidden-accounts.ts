/** Rows that stand in the place of those for an address without an account, so that both cost the same. */
export const hiddenAccounts = `
ALTER TABLE secret_tokens ALTER COLUMN user_id DROP NOT NULL;
COMMENT ON COLUMN secret_tokens.user_id IS 'null: nobody''s, asked for with an address that no account has; email is empty then';

ALTER TABLE mails DROP CONSTRAINT mails_state_check,
  ADD CONSTRAINT mails_state_check CHECK (state IN ('queued', 'sent', 'failed', 'cancelled'));
COMMENT ON COLUMN mails.user_id IS 'null: to nobody, and cancelled from the start';

COMMENT ON COLUMN users.email IS 'empty: only holds back a username that was signed up with an address that has an account';
`;
