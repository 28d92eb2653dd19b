import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { TokenService } from "../gen/auth/v1/token_service_pb.ts";
import { mochaGlobalSetup, mochaGlobalTeardown } from "../test/support/postgres.ts";
import { compare, report } from "./compare.ts";
import { createGrpcCaller } from "./grpc-caller.ts";
import type { Answer, Mode, Order } from "./introspect-server.ts";

// IntrospectToken against a handler that does nothing, on the same server in one process, behind the same interceptors.
// Counted is the processor time of that process.

const CALLS = 4_000;
const AT_ONCE = 32;
const ROUNDS = 11;

await mochaGlobalSetup();
const child = fork(fileURLToPath(new URL("introspect-server.ts", import.meta.url)), {
  stdio: ["ignore", 1, "ignore", "ipc"],
});
const { ready } = await told();
if (!ready) throw new Error("the server is not ready");
const caller = createGrpcCaller(`127.0.0.1:${ready.port}`, { authorization: `Bearer ${ready.key}` });

async function told(): Promise<Answer> {
  const [answer] = await once(child, "message");
  return answer;
}

async function order(order: Order): Promise<Answer> {
  child.send(order);
  return told();
}

/** Gives the server's time for each call. */
async function timed(mode: Mode, tokens: readonly string[]): Promise<number> {
  const { time: begun = 0 } = await order({ mode });
  const left = tokens.values();
  const callAll = async () => {
    for (const token of left) await caller.call(TokenService.method.introspectToken, { token });
  };
  await Promise.all(Array.from({ length: AT_ONCE }, callAll));
  const { time: ended = 0 } = await order({ time: true });
  return (ended - begun) / tokens.length;
}

const mint = async () => (await order({ mint: CALLS })).tokens ?? [];

const known = await mint();
const [nothing = 0, seen = 0] = await compare(
  [
    { name: "a handler that does nothing", round: () => timed("nothing", known) },
    { name: "IntrospectToken, a token that it has seen", round: () => timed("introspect", known) },
  ],
  ROUNDS,
);
const [jose = 0, der = 0, fresh = 0] = await compare(
  [
    { name: "a handler that calls crypto.verify, ES256", round: async () => timed("jose", await mint()) },
    { name: "a handler that calls crypto.verify, in DER", round: async () => timed("der", await mint()) },
    { name: "IntrospectToken, a token that it has not seen", round: async () => timed("introspect", await mint()) },
  ],
  ROUNDS,
);
report("seen: of the speed of doing nothing", nothing / seen, 0.8);
report("not seen: of the speed of crypto.verify, ES256", jose / fresh, 0.8);
report("not seen: of the speed of crypto.verify in DER", der / fresh);

caller.close();
child.disconnect();
await once(child, "exit");
await mochaGlobalTeardown();
process.exit();
