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

// Half the time for which a signing key is published before it is used.
const CACHED = { "cache-control": "public, max-age=300" };

/** What machines ask to find out how to check tokens. */
export function wellKnownRoutes({ invoke, issuer, publicUrl }: WellKnownOptions): Route[] {
  const metadata = authorizationServer(issuer, publicUrl);
  const tell = async () => jsonAnswer(200, metadata, CACHED);
  const names = ["oauth-authorization-server", "openid-configuration"];
  // RFC 8414 section 3.1: the path of an issuer comes after the well-known part.
  const suffixes = new Set(["", new URL(publicUrl).pathname.replace(/\/+$/, "")]);
  return [
    { method: "GET", path: "/.well-known/jwks.json", handle: (call) => listKeys(invoke, call) },
    ...names.flatMap((name) =>
      [...suffixes].map((suffix): Route => ({ method: "GET", path: `/.well-known/${name}${suffix}`, handle: tell })),
    ),
  ];
}

/** A JWK Set (RFC 7517 section 5). */
async function listKeys(invoke: Invoke, call: Call): Promise<Answer> {
  try {
    const { keys } = await invoke(TokenService.method.listSigningKeys, {}, call.context);
    const members = keys.map(({ $typeName, ...jwk }) =>
      Object.fromEntries(Object.entries(jwk).filter(([, value]) => typeof value === "string" && value !== "")),
    );
    return jsonAnswer(200, { keys: members }, CACHED);
  } catch (error) {
    return refusalAnswer(call.refuse(error));
  }
}

/** The metadata of RFC 8414 section 2: there is no endpoint that gives tokens by OAuth, so no grant is supported. */
function authorizationServer(issuer: string, publicUrl: string): object {
  return {
    issuer,
    jwks_uri: `${publicUrl}/.well-known/jwks.json`,
    response_types_supported: [],
    grant_types_supported: [],
    introspection_endpoint: `${publicUrl}/oauth2/introspect`,
    introspection_endpoint_auth_methods_supported: ["client_secret_basic", "Bearer"],
    revocation_endpoint: `${publicUrl}/oauth2/revoke`,
    revocation_endpoint_auth_methods_supported: ["none", "client_secret_basic", "Bearer"],
  };
}
