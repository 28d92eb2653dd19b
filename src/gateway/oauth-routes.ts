import { timestampMs } from "@bufbuild/protobuf/wkt";
import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { type AccessTokenClaims, TokenService } from "../../gen/auth/v1/token_service_pb.ts";
import { AuthError, invalidField } from "../auth/errors.ts";
import type { Invoke, InvokeContext } from "../rpc/invoke.ts";
import { KEY_HEADER, presentedKey } from "../rpc/service-credentials.ts";
import { jsonAnswer } from "./answers.ts";
import { parseFormBody } from "./body.ts";
import { createInput } from "./input.ts";
import { oauthRefusal } from "./oauth-refusals.ts";
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
  const isAccessToken = /^[\w-]+\.[\w-]+\.[\w-]+$/.test(token);
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
    return jsonAnswer(200, await act(readToken(call)), { pragma: "no-cache" });
  } catch (error) {
    return oauthRefusal(call.refuse(error), call.context.header);
  }
}

// What authenticates a client elsewhere (RFC 6749 section 2.3.1, RFC 7521 section 4.2) must not be passed over here.
const OTHER_CREDENTIALS = ["client_secret", "client_assertion"];

/** The token that a form is about. Its hint may be wrong, and is not needed; what is known must not come twice. */
function readToken(call: Call): string {
  const input = createInput(call, parseFormBody);
  const [token = ""] = ["token", "token_type_hint", "client_id"].map((name) => input.text(name));
  const credentials = OTHER_CREDENTIALS.map((name) => input.text(name));
  input.check();
  if (credentials.some((given) => given !== "")) throw new AuthError("INVALID_TOKEN");
  if (token === "") throw invalidField("token", "REQUIRED", "must be given");
  return token;
}

function claimMembers({ issueTime, expireTime, ...claims }: AccessTokenClaims): object {
  const { issuer: iss, audience: aud, userId, sessionId: sid, tokenId: jti, username, roles } = claims;
  const seconds = (time: typeof issueTime) => (time ? Math.floor(timestampMs(time) / 1000) : 0);
  return {
    ...{ iss, aud, sub: String(userId), sid, jti, iat: seconds(issueTime), exp: seconds(expireTime) },
    ...{ username, roles, token_type: "Bearer" },
  };
}
