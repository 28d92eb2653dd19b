import { ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";

// This runs in a browser, on a page of another origin than the service's.

/** Whom the script signs in, and where. */
export interface SiteCall {
  readonly baseUrl: string;
  readonly login: string;
  readonly password: string;
}

/** What the script could read: who was signed in, why that was refused, or nothing. */
export type SiteAnswer =
  | { readonly username: string | undefined }
  | { readonly reason: string; readonly retryAfter: number | undefined }
  | { readonly unreadable: string };

type SignIn = (call: SiteCall) => Promise<SiteAnswer>;

/** Signs in by an RPC, and asks by another who that is. */
const byRpc =
  (createTransport: (baseUrl: string) => Transport): SignIn =>
  async ({ baseUrl, login, password }) => {
    const client = createClient(AuthService, createTransport(baseUrl));
    try {
      const { tokens } = await client.signIn({ login, password });
      const { user } = await client.getMe({}, { headers: { authorization: `Bearer ${tokens?.accessToken}` } });
      return { username: user?.username };
    } catch (caught) {
      const error = ConnectError.from(caught);
      const [info] = error.findDetails(ErrorInfoSchema);
      const [retry] = error.findDetails(RetryInfoSchema);
      if (!info) return { unreadable: error.rawMessage };
      return { reason: info.reason, retryAfter: retry && Number(retry.retryDelay?.seconds) };
    }
  };

/** Does the same by the routes of plain HTTP. */
const byRest: SignIn = async ({ baseUrl, login, password }) => {
  try {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ login, password });
    const signedIn = await fetch(`${baseUrl}/sign-in`, { method: "POST", headers, body });
    const { access_token: token = "", code = "" } = await membersOf(signedIn);
    const retryAfter = signedIn.headers.get("retry-after");
    if (!signedIn.ok) return { reason: code, retryAfter: retryAfter === null ? undefined : Number(retryAfter) };
    const me = await fetch(`${baseUrl}/auth/me`, { headers: { authorization: `Bearer ${token}` } });
    return { username: (await membersOf(me)).username };
  } catch (error) {
    return { unreadable: error instanceof Error ? error.message : "" };
  }
};

async function membersOf(response: Response): Promise<Partial<Record<string, string>>> {
  return (await response.json()) as Partial<Record<string, string>>;
}

/** The ways in which a script can call the service. */
const signIn = {
  "Connect with JSON": byRpc((baseUrl) => createConnectTransport({ baseUrl })),
  "Connect with binary messages": byRpc((baseUrl) => createConnectTransport({ baseUrl, useBinaryFormat: true })),
  "gRPC-Web": byRpc((baseUrl) => createGrpcWebTransport({ baseUrl })),
  REST: byRest,
};

/** One of them. */
export type SiteWay = keyof typeof signIn;

Object.assign(globalThis, { signIn });
