import { createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AuthError, AuthService, BadRequestError, httpSignIn, reasonOf } from "latchkey/client";
import * as proto from "latchkey/proto";

const [grpcUrl, httpUrl, username, password] = process.argv.slice(2);
const rpc = createClient(proto.AuthService, createGrpcTransport({ baseUrl: grpcUrl }));

async function report(auth) {
  const { access_token, user } = await auth.signIn({ username, password });
  const me = await rpc.getMe({}, { headers: { authorization: `Bearer ${access_token}` } });
  const refused = await auth.signIn({ username: "", password }).catch((error) => error);
  const { detail, code } = refused instanceof AuthError ? refused : {};
  return { user, me: me.user.username, detail, code };
}

const nobody = new AuthService(httpSignIn("http://127.0.0.1:1"));
const away = await nobody.signIn({ username, password }).catch((error) => error);
console.log(
  JSON.stringify({
    overGrpc: await report(new AuthService(rpc)),
    overHttp: await report(new AuthService(httpSignIn(httpUrl))),
    away: away instanceof BadRequestError && away.detail,
    reason: reasonOf(await rpc.getMe({}).catch((error) => error)),
    scope: proto.SignOutScope.ALL,
  }),
);
