import { toJson } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { AuthService, GetMeResponseSchema, SignInResponseSchema } from "../../gen/auth/v1/auth_service_pb.ts";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";

// This runs in a browser, on a page of another origin than the service's.

const PROTOCOLS = {
  "Connect with JSON": (baseUrl: string) => createConnectTransport({ baseUrl }),
  "Connect with binary messages": (baseUrl: string) => createConnectTransport({ baseUrl, useBinaryFormat: true }),
  "gRPC-Web": (baseUrl: string) => createGrpcWebTransport({ baseUrl }),
} as const;

/** How a script calls RPCs. */
export type WebProtocol = keyof typeof PROTOCOLS;

/** What the script is asked to do. */
export interface SiteCall {
  readonly protocol: WebProtocol;
  readonly baseUrl: string;
  readonly login: string;
  readonly password: string;
}

/** What the script could read. */
export type SiteAnswer =
  | { readonly signIn: unknown; readonly me: unknown }
  | { readonly code: string; readonly reason: string | undefined };

/** Signs in, and asks who that is. */
async function signIn({ protocol, baseUrl, login, password }: SiteCall): Promise<SiteAnswer> {
  const client = createClient(AuthService, PROTOCOLS[protocol](baseUrl));
  try {
    const signedIn = await client.signIn({ login, password });
    const headers = { authorization: `Bearer ${signedIn.tokens?.accessToken}` };
    const me = await client.getMe({}, { headers });
    return { signIn: toJson(SignInResponseSchema, signedIn), me: toJson(GetMeResponseSchema, me) };
  } catch (error) {
    const { code, ...refusal } = ConnectError.from(error);
    return { code: Code[code] };
  }
}

Object.assign(globalThis, { signIn });
