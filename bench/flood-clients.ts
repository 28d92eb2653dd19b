import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { create, toBinary } from "@bufbuild/protobuf";
import { AuthService, SignInRequestSchema } from "../gen/auth/v1/auth_service_pb.ts";
import { connectRaw, grpcBody, type RawOutcome, rawRequest } from "./raw-grpc.ts";

// Those who sign in, in a process of their own: many people, each from an address of their own.

/** What they are told. */
export interface FloodOrder {
  readonly port: number;
  readonly seconds: number;
  /** Of each sign-in, as gRPC writes it. */
  readonly deadline: string;
  readonly people: readonly string[];
  readonly password: string;
  /** Sign-ins that begin each second, each of which comes back when it is told to; or how many people hammer on. */
  readonly manner: { readonly perSecond: number } | { readonly hammering: number };
}

/** What they saw; times are in milliseconds. */
export interface FloodReport {
  readonly signedIn: readonly number[];
  readonly refused: readonly number[];
  /** Calls that ended otherwise: too late, for the most part. */
  readonly failed: number;
  /** Processor time of the clients, in microseconds. */
  readonly time: number;
}

const STREAMS = 80;
const TRIES = 5;
const PATH = `/${AuthService.typeName}/${AuthService.method.signIn.name}`;

process.on("message", async (order: FloodOrder) => {
  const { user, system } = process.cpuUsage();
  const report = await ("hammering" in order.manner ? hammer(order, order.manner) : comeBack(order, order.manner));
  const used = process.cpuUsage();
  process.send?.({ ...report, time: used.user + used.system - user - system } satisfies FloodReport);
});
process.on("disconnect", () => process.exit());

type Seen = { signedIn: number[]; refused: number[]; failed: number };

/** Each of a number of people signs in again and again; who is refused tries again at once. */
async function hammer(order: FloodOrder, { hammering }: { hammering: number }): Promise<Seen> {
  const seen: Seen = { signedIn: [], refused: [], failed: 0 };
  const end = performance.now() + order.seconds * 1000;
  const connections = await Promise.all(
    Array.from({ length: Math.ceil(hammering / STREAMS) }, () => connectRaw("127.0.0.1", order.port)),
  );
  const hammerOn = async (_: unknown, person: number) => {
    const connection = connections[person % connections.length];
    const request = rawRequest(PATH, headersOf(order, person), messageOf(order, person));
    while (connection && performance.now() < end) {
      const begun = performance.now();
      count(seen, await connection.call(request), performance.now() - begun);
    }
  };
  const all = Promise.all(Array.from({ length: hammering }, hammerOn));
  // Whoever still waits is not waited for.
  await Promise.race([all, sleep(end - performance.now() + 100)]);
  for (const connection of connections) connection.close();
  await all;
  return seen;
}

function count(seen: Seen, outcome: RawOutcome, ms: number): void {
  if (outcome === "answered") seen.signedIn.push(ms);
  else if (outcome === "refused") seen.refused.push(ms);
  else seen.failed += 1;
}

/** New people sign in at a fixed rate; who is refused comes back when told to, a few times. */
async function comeBack(order: FloodOrder, { perSecond }: { perSecond: number }): Promise<Seen> {
  const seen: Seen = { signedIn: [], refused: [], failed: 0 };
  const begun = performance.now();
  const end = begun + order.seconds * 1000;
  const sessions = Array.from({ length: 10 }, () => connect(`http://127.0.0.1:${order.port}`));
  const signIn = async (person: number) => {
    const session = sessions[person % sessions.length];
    const body = grpcBody(messageOf(order, person));
    for (let left = TRIES; session && left > 0 && performance.now() < end; left--) {
      const retryAfter = await attempt(session, headersOf(order, person), body, seen);
      if (retryAfter === null) return;
      await sleep(Math.min(retryAfter, Math.max(0, end - performance.now())));
    }
  };
  for (let person = 0; performance.now() < end; person++) {
    signIn(person);
    await sleep(Math.max(0, begun + ((person + 1) * 1000) / perSecond - performance.now()));
  }
  for (const session of sessions) session.destroy();
  return seen;
}

/** Gives when to come back, or null. Over bare HTTP/2, which leaves the service more of the cores than grpc-js would. */
async function attempt(
  session: ClientHttp2Session,
  headers: Readonly<Record<string, string>>,
  body: Buffer,
  seen: Seen,
): Promise<number | null> {
  const begun = performance.now();
  const own = { ":method": "POST", ":path": PATH, "content-type": "application/grpc", te: "trailers" };
  const stream = session.request({ ...own, ...headers });
  const { promise, resolve } = Promise.withResolvers<IncomingHttpHeaders>();
  const end = (headers: IncomingHttpHeaders) => "grpc-status" in headers && resolve(headers);
  stream
    .on("response", end)
    .on("trailers", end)
    .on("error", () => resolve({}))
    .on("close", () => resolve({}));
  stream.resume().end(body);
  const { "grpc-status": status, "grpc-retry-pushback-ms": pushback } = await promise;
  const ms = performance.now() - begun;
  if (status === "0") seen.signedIn.push(ms);
  else if (pushback === undefined) seen.failed += 1;
  else seen.refused.push(ms);
  return pushback === undefined ? null : Number(pushback);
}

function messageOf({ people, password }: FloodOrder, person: number): Buffer {
  const login = people[person % people.length] ?? "";
  return Buffer.from(toBinary(SignInRequestSchema, create(SignInRequestSchema, { login, password })));
}

function headersOf({ deadline }: FloodOrder, person: number): Record<string, string> {
  return { "x-forwarded-for": addressOf(person), "grpc-timeout": deadline };
}

function addressOf(person: number): string {
  return `198.${18 + (person >> 16)}.${(person >> 8) & 255}.${person & 255}`;
}
