import { Agent, request } from "node:http";
import { setPriority } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { TokenService } from "../gen/auth/v1/token_service_pb.ts";
import { createGrpcCaller } from "./grpc-caller.ts";

// Those who do not sign in, in a process of their own: each kind of call at a fixed rate, whatever the answers take.

/** What they are told. */
export interface OthersOrder {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly seconds: number;
  readonly perSecond: number;
  /** Of a service, to introspect with. */
  readonly key: string;
  readonly accessTokens: readonly string[];
  /** They are followed from one order to the next. */
  readonly refreshTokens?: readonly string[];
}

/** How long each kind of call took, in milliseconds; a call that failed took for ever. */
export interface OthersReport {
  readonly calls: Readonly<Record<string, readonly number[]>>;
  /** Processor time of the clients, in microseconds. */
  readonly time: number;
}

// What they measure is the service, not their own wait for a core; they take next to nothing.
try {
  setPriority(-10);
} catch {
  // Only root may.
}
const agent = new Agent({ keepAlive: true });
let refreshTokens: string[] = [];

process.on("message", async (order: OthersOrder) => {
  const { user, system } = process.cpuUsage();
  if (order.refreshTokens) refreshTokens = [...order.refreshTokens];
  const calls = await callAll(order);
  const used = process.cpuUsage();
  process.send?.({ calls, time: used.user + used.system - user - system } satisfies OthersReport);
});
process.on("disconnect", () => process.exit());

async function callAll(order: OthersOrder): Promise<OthersReport["calls"]> {
  const plain = createGrpcCaller(`127.0.0.1:${order.grpcPort}`);
  const service = createGrpcCaller(`127.0.0.1:${order.grpcPort}`, { authorization: `Bearer ${order.key}` });
  const { accessTokens } = order;
  const tokenOf = (turn: number) => accessTokens[turn % accessTokens.length] ?? "";
  const refresh = async () => {
    const refreshToken = refreshTokens.shift() ?? "";
    const { tokens } = await plain.call(AuthService.method.refreshToken, { refreshToken });
    refreshTokens.push(tokens?.refreshToken ?? "");
  };
  const introspect = async (turn: number) => {
    const { active } = await service.call(TokenService.method.introspectToken, { token: tokenOf(turn) });
    if (!active) throw new Error("a good token is not active");
  };
  const [RefreshToken, IntrospectToken, GetMe] = await Promise.all([
    atRate(order, refresh),
    atRate(order, introspect),
    atRate(order, (turn) => getMe(order.httpPort, tokenOf(turn))),
  ]);
  plain.close();
  service.close();
  return { RefreshToken, IntrospectToken, "GetMe, Connect JSON": GetMe };
}

async function atRate({ seconds, perSecond }: OthersOrder, call: (turn: number) => Promise<void>): Promise<number[]> {
  const times: number[] = [];
  const begun = performance.now();
  const calls = [];
  for (let turn = 0; turn < seconds * perSecond; turn++) {
    const due = begun + ((turn + Math.random()) * 1000) / perSecond;
    await sleep(Math.max(0, due - performance.now()));
    const sent = performance.now();
    calls.push(
      call(turn).then(
        () => times.push(performance.now() - sent),
        () => times.push(Number.POSITIVE_INFINITY),
      ),
    );
  }
  await Promise.race([Promise.all(calls), sleep(PATIENCE_MS, undefined, { ref: false })]);
  // Who was not answered by now has waited for too long.
  return [...times, ...Array<number>(calls.length - times.length).fill(Number.POSITIVE_INFINITY)];
}

const PATIENCE_MS = 10_000;

async function getMe(port: number, accessToken: string): Promise<void> {
  const headers = { authorization: `Bearer ${accessToken}`, "content-type": "application/json" };
  const options = { host: "127.0.0.1", port, path: "/auth.v1.AuthService/GetMe", method: "POST", headers, agent };
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const call = request(options, (response) => {
    const end = () => (response.statusCode === 200 ? resolve() : reject(new Error(`status ${response.statusCode}`)));
    response.resume().on("end", end).on("error", reject);
  });
  call.on("error", reject).end("{}");
  return promise;
}
