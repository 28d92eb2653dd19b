/** The beginning of a session, as a procedure: to plan it each time took twice as long as to run it. */
export const openSession = `
CREATE PROCEDURE open_session(account bigint, compared_hash text, renewed_hash text, confirmation_required boolean,
  rotating boolean, device text, caller_address inet, idle_ms double precision, age_ms double precision,
  access_ms double precision, most_live integer, counted_keys text[], counted_time timestamptz, caller text,
  OUT id bigint, OUT username text, OUT email text, OUT "emailConfirmedAt" timestamptz, OUT "isActive" boolean,
  OUT roles text[], OUT locale text, OUT "createdAt" timestamptz, OUT "lastSignInAt" timestamptz,
  OUT "sessionId" uuid, OUT "refreshCounter" bigint, OUT "issuedAt" timestamptz, OUT "accessExpiresAt" timestamptz,
  OUT "refreshExpiresAt" timestamptz, OUT ended json)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
  signed_in users;
  opened sessions;
BEGIN
  UPDATE users u SET last_sign_in_at = now(), password_hash = coalesce(renewed_hash, u.password_hash)
  WHERE u.id = account AND u.password_hash = compared_hash
    AND (u.email_confirmed_at IS NOT NULL OR NOT confirmation_required)
    AND coalesce(u.is_active OR u.blocked_until <= now(), false)
  RETURNING u.* INTO signed_in;
  IF NOT FOUND THEN
    RETURN;
  END IF;

  INSERT INTO sessions AS s (user_id, rotates, device_name, address, idle_expires_at, expires_at, access_expires_at)
  VALUES (account, rotating, device, caller_address, now() + least(idle_ms, age_ms) * interval '1 ms',
    now() + age_ms * interval '1 ms', now() + least(access_ms, age_ms) * interval '1 ms')
  RETURNING s.* INTO opened;
  INSERT INTO audit_events (type, actor, address, user_id, session_id, device_name)
  VALUES ('sign_in', caller, caller_address, account, opened.id, device);

  ended := '[]';
  IF EXISTS (
    SELECT FROM sessions s
    WHERE s.user_id = account AND s.id <> opened.id
      AND s.ended_at IS NULL AND s.idle_expires_at > now() AND s.expires_at > now()
    OFFSET most_live - 1) THEN
    WITH surplus AS (
      UPDATE sessions SET ended_at = now(), end_reason = 'surplus' WHERE ended_at IS NULL AND sessions.id IN (
        SELECT s.id FROM sessions s
        WHERE s.user_id = account AND s.id <> opened.id
          AND s.ended_at IS NULL AND s.idle_expires_at > now() AND s.expires_at > now()
        ORDER BY s.created_at DESC OFFSET most_live - 1)
      RETURNING sessions.*),
    events AS (
      INSERT INTO audit_events (type, reason, actor, address, user_id, session_id, device_name)
      SELECT 'session_revoked', 'SURPLUS', caller, caller_address, account, s.id, s.device_name FROM surplus s),
    revoked AS (
      INSERT INTO revocations AS r (session_id, expires_at)
      SELECT s.id, s.access_expires_at + interval '30 s' FROM surplus s
      ON CONFLICT (session_id) DO NOTHING RETURNING r.*)
    SELECT coalesce(json_agg(json_build_object('sessionId', r.session_id, 'expiresAt', r.expires_at)), '[]')
    FROM revoked r INTO ended;
  END IF;

  IF cardinality(counted_keys) > 0 THEN
    PERFORM FROM throttle t WHERE t.key = ANY (counted_keys) ORDER BY t.key FOR UPDATE;
    UPDATE throttle t SET counted_at = t.counted_at[:array_position(t.counted_at, counted_time) - 1]
      || t.counted_at[array_position(t.counted_at, counted_time) + 1:]
    WHERE t.key = ANY (counted_keys) AND counted_time = ANY (t.counted_at);
  END IF;

  id := signed_in.id;
  username := signed_in.username;
  email := signed_in.email;
  "emailConfirmedAt" := signed_in.email_confirmed_at;
  "isActive" := true;
  roles := signed_in.roles;
  locale := signed_in.locale;
  "createdAt" := signed_in.created_at;
  "lastSignInAt" := signed_in.last_sign_in_at;
  "sessionId" := opened.id;
  "refreshCounter" := opened.refresh_counter;
  "issuedAt" := now();
  "accessExpiresAt" := opened.access_expires_at;
  "refreshExpiresAt" := opened.idle_expires_at;
END
$$;
COMMENT ON PROCEDURE open_session IS 'no sequential scan: a plan made for small tables is kept while they grow';
`;
