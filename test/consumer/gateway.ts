import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import {
  AuthError,
  AuthService,
  BadRequestError,
  type Detail,
  type Fault,
  httpSignIn,
  reasonOf,
  type SignedIn,
  type SignInOptions,
  type SignInSchema,
} from "latchkey/client";
import * as proto from "latchkey/proto";

const [grpcUrl = "", httpUrl = "", username = "", password = ""] = process.argv.slice(2);
const rpc: Client<typeof proto.AuthService> = createClient(
  proto.AuthService,
  createGrpcTransport({ baseUrl: grpcUrl }),
);
const caller: SignInOptions = { signal: new AbortController().signal, headers: { "x-forwarded-for": "192.0.2.1" } };

async function report(auth: AuthService) {
  const { access_token, user }: SignedIn = await auth.signIn({ username, password }, caller);
  const id: number = user.id;
  const me: proto.GetMeResponse = await rpc.getMe({}, { headers: { authorization: `Bearer ${access_token}` } });
  const refused: unknown = await auth.signIn({ username: "", password }).catch((error: unknown) => error);
  if (!(refused instanceof AuthError)) throw refused;
  const detail: Detail = refused.detail;
  const faults: readonly Fault[] = typeof detail === "string" ? [] : detail;
  return { user: { ...user, id }, me: me.user?.username, detail: faults, code: refused.code };
}

// @ts-expect-error nobody signs in without a password
const incomplete: SignInSchema = { username };

const nobody = new AuthService(httpSignIn(new URL("http://127.0.0.1:1")));
const away: unknown = await nobody.signIn({ ...incomplete, password }).catch((error: unknown) => error);
console.log(
  JSON.stringify({
    overGrpc: await report(new AuthService(rpc)),
    overHttp: await report(new AuthService(httpSignIn(httpUrl))),
    away: away instanceof BadRequestError && away.detail,
    reason: reasonOf(await rpc.getMe({}).catch((error: unknown) => error)),
    scope: proto.SignOutScope.ALL satisfies proto.SignOutScope,
  }),
);
