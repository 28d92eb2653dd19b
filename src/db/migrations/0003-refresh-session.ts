/** The refresh of a session, as a procedure: to plan it each time would take longer than to run it. */
export const refreshSession = `
CREATE PROCEDURE refresh_session(session uuid, counter bigint, access_ms double precision, refresh_ms double precision,
  OUT "sessionId" uuid, OUT "userId" bigint, OUT username text, OUT roles text[], OUT "refreshCounter" bigint,
  OUT "issuedAt" timestamptz, OUT "accessExpiresAt" timestamptz, OUT "refreshExpiresAt" timestamptz)
LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
  UPDATE sessions s SET refreshed_at = now(),
    refresh_counter = CASE WHEN s.rotates THEN counter + 1 ELSE s.refresh_counter END,
    idle_expires_at = CASE WHEN s.rotates THEN least(now() + refresh_ms * interval '1 ms', s.expires_at) ELSE s.idle_expires_at END,
    access_expires_at = greatest(s.access_expires_at, least(now() + access_ms * interval '1 ms', s.expires_at))
  FROM users u
  WHERE s.id = session AND (s.refresh_counter <= counter OR NOT s.rotates)
    AND s.ended_at IS NULL AND s.idle_expires_at > now() AND s.expires_at > now()
    AND u.id = s.user_id AND coalesce(u.is_active OR u.blocked_until <= now(), false)
  RETURNING s.id, u.id, u.username, u.roles, s.refresh_counter, now(),
    least(now() + access_ms * interval '1 ms', s.expires_at), s.idle_expires_at
  INTO "sessionId", "userId", username, roles, "refreshCounter", "issuedAt", "accessExpiresAt", "refreshExpiresAt";
END
$$;
COMMENT ON PROCEDURE refresh_session IS 'no sequential scan: a plan made for small tables is kept while they grow';
`;
