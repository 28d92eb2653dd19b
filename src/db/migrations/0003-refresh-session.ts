/**
 * The refresh of a session as a function, since PostgreSQL keeps the plans of what stands in one: to plan this statement
 * takes longer than to run it. The kept plan has to fit tables of any size, hence no sequential scan.
 */
export const refreshSession = `
CREATE FUNCTION refresh_session(session uuid, counter bigint, access_ms double precision, refresh_ms double precision)
RETURNS TABLE (session_id uuid, user_id bigint, username text, roles text[], refresh_counter bigint, issued_at timestamptz,
  access_expires_at timestamptz, refresh_expires_at timestamptz)
LANGUAGE plpgsql ROWS 1 SET enable_seqscan = off AS $$
BEGIN
  RETURN QUERY
  UPDATE sessions s SET refreshed_at = now(),
    refresh_counter = CASE WHEN s.rotates THEN counter + 1 ELSE s.refresh_counter END,
    idle_expires_at = CASE WHEN s.rotates THEN least(now() + refresh_ms * interval '1 ms', s.expires_at) ELSE s.idle_expires_at END,
    access_expires_at = greatest(s.access_expires_at, least(now() + access_ms * interval '1 ms', s.expires_at))
  FROM users u
  WHERE s.id = session AND (s.refresh_counter <= counter OR NOT s.rotates)
    AND s.ended_at IS NULL AND s.idle_expires_at > now() AND s.expires_at > now()
    AND u.id = s.user_id AND coalesce(u.is_active OR u.blocked_until <= now(), false)
  RETURNING s.id, u.id, u.username, u.roles, s.refresh_counter, now(),
    least(now() + access_ms * interval '1 ms', s.expires_at), s.idle_expires_at;
END
$$;
COMMENT ON FUNCTION refresh_session IS 'spends a genuine refresh token whose counter is the current one or newer; any, where tokens do not rotate';
`;
