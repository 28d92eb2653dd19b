import { TokenService } from "../../gen/auth/v1/token_service_pb.ts";
import type { Invoke } from "../rpc/invoke.ts";
import { jsonAnswer, refusalAnswer } from "./answers.ts";
import type { Answer, Call, Route } from "./route.ts";

/** What the documents about this service are written from. */
export interface WellKnownOptions {
  readonly invoke: Invoke;
  /** Claim `iss`. */
  readonly issuer: string;
  readonly publicUrl: string;
}

const PUBLISHED = {
  // Half the time for which a signing key is published before it is used.
  "cache-control": "public, max-age=300",
  // Pages of any origin may read what is nobody's secret.
  "access-control-allow-origin": "*",
};

/** What machines ask to find out how to check tokens. */
export function wellKnownRoutes({ invoke, issuer, publicUrl }: WellKnownOptions): Route[] {
  const metadata = authorizationServer(issuer, publicUrl);
  const tell = async () => jsonAnswer(200, metadata, PUBLISHED);
  const names = ["oauth-authorization-server", "openid-configuration"];
  const suffixes = new Set(["", pathOf(issuer), pathOf(publicUrl)]);
  return [
    { method: "GET", path: "/.well-known/jwks.json", handle: (call) => listKeys(invoke, call) },
    ...names.flatMap((name) =>
      [...suffixes].map((suffix): Route => ({ method: "GET", path: `/.well-known/${name}${suffix}`, handle: tell })),
    ),
  ];
}

/** The path of an issuer comes after the well-known part, without a slash at its end (RFC 8414 section 3.1). */
function pathOf(issuer: string): string {
  const path = URL.parse(issuer)?.pathname ?? "";
  return path.startsWith("/") ? path.replace(/\/+$/, "") : "";
}

/** A JWK Set (RFC 7517 section 5). */
async function listKeys(invoke: Invoke, call: Call): Promise<Answer> {
  try {
    const { keys } = await invoke(TokenService.method.listSigningKeys, {}, call.context);
    const members = keys.map(({ $typeName, ...jwk }) =>
      Object.fromEntries(Object.entries(jwk).filter(([, value]) => typeof value === "string" && value !== "")),
    );
    return jsonAnswer(200, { keys: members }, PUBLISHED);
  } catch (error) {
    return refusalAnswer(call.refuse(error));
  }
}

/**
 * The metadata of RFC 8414 section 2. No endpoint gives tokens by OAuth, so no grant is supported. Lists without
 * elements are to be left out (section 3.2), but the first of these two is required, and without the second clients
 * must take the authorization code and implicit grants to be supported.
 */
function authorizationServer(issuer: string, publicUrl: string): object {
  return {
    issuer,
    jwks_uri: `${publicUrl}/.well-known/jwks.json`,
    response_types_supported: [],
    grant_types_supported: [],
    introspection_endpoint: `${publicUrl}/oauth2/introspect`,
    introspection_endpoint_auth_methods_supported: ["client_secret_basic", "Bearer"],
    revocation_endpoint: `${publicUrl}/oauth2/revoke`,
    revocation_endpoint_auth_methods_supported: ["none", "client_secret_basic"],
  };
}
