import { timestampMs } from "@bufbuild/protobuf/wkt";
import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { type AccessTokenClaims, TokenService } from "../../gen/auth/v1/token_service_pb.ts";
import { invalidField } from "../auth/errors.ts";
import type { Invoke, InvokeContext } from "../rpc/invoke.ts";
import { KEY_HEADER, presentedKey } from "../rpc/service-credentials.ts";
import { jsonAnswer } from "./answers.ts";
import { parseFormBody } from "./body.ts";
import { createInput } from "./input.ts";
import type { Refusal } from "./refusals.ts";
import type { Answer, Call, Route } from "./route.ts";

/** The endpoints of OAuth 2.0 that a service without OAuth can have: they are about tokens that somebody holds. */
export function oauthRoutes(invoke: Invoke): Route[] {
  return [
    {
      method: "POST",
      path: "/oauth2/introspect",
      handle: (call) => answer(call, (token) => introspect(invoke, call, token)),
    },
    { method: "POST", path: "/oauth2/revoke", handle: (call) => answer(call, (token) => revoke(invoke, call, token)) },
  ];
}

/** RFC 7662 section 2. */
async function introspect(invoke: Invoke, { context }: Call, token: string): Promise<object> {
  const { active, claims } = await invoke(TokenService.method.introspectToken, { token }, context);
  return active && claims ? { active, ...claimMembers(claims) } : { active: false };
}

/** RFC 7009 section 2: whoever holds a token can end it, and is told nothing of what it was. */
async function revoke(invoke: Invoke, { context }: Call, token: string): Promise<object> {
  const isAccessToken = token.includes(".");
  const request = isAccessToken ? {} : { refreshToken: token };
  await invoke(AuthService.method.signOut, request, asHolder(context, isAccessToken ? token : null));
  return {};
}

/** The same call with the token as its bearer, and the client's own credentials beside it. */
function asHolder(context: InvokeContext, accessToken: string | null): InvokeContext {
  const key = presentedKey(context.header);
  const header = new Headers();
  if (accessToken !== null) header.set("authorization", `Bearer ${accessToken}`);
  if (key !== null) header.set(KEY_HEADER, key);
  return { ...context, header };
}

async function answer(call: Call, act: (token: string) => Promise<object>): Promise<Answer> {
  try {
    const input = createInput(call, parseFormBody);
    const token = input.text("token");
    input.check();
    if (token === "") throw invalidField("token", "REQUIRED", "must be given");
    return jsonAnswer(200, await act(token), { pragma: "no-cache" });
  } catch (error) {
    return oauthError(call.refuse(error));
  }
}

function claimMembers({ issueTime, expireTime, ...claims }: AccessTokenClaims): object {
  const { issuer: iss, audience: aud, userId, sessionId: sid, tokenId: jti, username, roles } = claims;
  const seconds = (time: typeof issueTime) => (time ? Math.floor(timestampMs(time) / 1000) : 0);
  return {
    ...{ iss, aud, sub: String(userId), sid, jti, iat: seconds(issueTime), exp: seconds(expireTime) },
    ...{ username, roles, token_type: "Bearer" },
  };
}

/** A refusal as RFC 6749 section 5.2 has it, beside the members that every other answer has. */
function oauthError({ status, code, message, headers }: Refusal): Answer {
  const [oauthStatus, error] = OAUTH_ERRORS[code] ?? [status, "server_error"];
  const challenge = oauthStatus === 401 ? { "www-authenticate": 'Basic realm="latchkey", Bearer' } : {};
  const body = { error, error_description: message, detail: message, code };
  return jsonAnswer(oauthStatus, body, { pragma: "no-cache", ...challenge, ...headers });
}

const OAUTH_ERRORS: Readonly<Record<string, readonly [status: number, error: string]>> = {
  INVALID_ARGUMENT: [400, "invalid_request"],
  UNSUPPORTED_MEDIA_TYPE: [400, "invalid_request"],
  INVALID_TOKEN: [401, "invalid_client"],
  PERMISSION_DENIED: [403, "insufficient_scope"],
  UNAVAILABLE: [503, "temporarily_unavailable"],
  OVERLOADED: [503, "temporarily_unavailable"],
};
