import { jsonAnswer } from "./answers.ts";
import type { Refusal } from "./refusals.ts";
import type { Answer } from "./route.ts";

/** A refusal as RFC 6749 section 5.2 has it, beside the members of every other one; `header` is the request's. */
export function oauthRefusal({ status, code, message, headers }: Refusal, header: Headers): Answer {
  const [oauthStatus, error] = OAUTH_ERRORS[code] ?? [status, "server_error"];
  const body = { error, error_description: message, detail: message, code };
  return jsonAnswer(oauthStatus, body, { pragma: "no-cache", ...challenge(oauthStatus, header), ...headers });
}

const OAUTH_ERRORS: Readonly<Record<string, readonly [status: number, error: string]>> = {
  INVALID_ARGUMENT: [400, "invalid_request"],
  UNSUPPORTED_MEDIA_TYPE: [400, "invalid_request"],
  METHOD_NOT_ALLOWED: [405, "invalid_request"],
  PAYLOAD_TOO_LARGE: [413, "invalid_request"],
  INVALID_TOKEN: [401, "invalid_client"],
  PERMISSION_DENIED: [403, "insufficient_scope"],
  UNAVAILABLE: [503, "temporarily_unavailable"],
  OVERLOADED: [503, "temporarily_unavailable"],
};

const BASIC = 'Basic realm="latchkey"';
const BEARER = 'Bearer realm="latchkey"';

/** The challenge of the scheme that the client has used, if it has used one (RFC 6749 section 5.2, RFC 6750 section 3). */
function challenge(status: number, header: Headers): Answer["headers"] {
  const [scheme = ""] = /^(basic|bearer)\b/i.exec(header.get("authorization") ?? "") ?? [];
  const isBearer = scheme.toLowerCase() === "bearer";
  if (status === 403 && isBearer) return { "www-authenticate": `${BEARER}, error="insufficient_scope"` };
  if (status !== 401) return {};
  if (isBearer) return { "www-authenticate": `${BEARER}, error="invalid_token"` };
  return { "www-authenticate": scheme ? BASIC : `${BASIC}, ${BEARER}` };
}
