import { once } from "node:events";
import { connect } from "node:http2";
import { createServer } from "node:net";
import type { Config } from "../config.ts";
import { addressOf, listenError } from "../server/listener.ts";
import { ELSEWHERE } from "../server/metrics-listener.ts";
import { failed, ok, type Verdict, warning } from "./check.ts";
import { ANSWER_MS, ANY_CERTIFICATE, ask, askHealth, type Place, reachable } from "./health-probe.ts";

/** A listener's port, and how to find out whether it is this service that listens there. */
interface Port {
  readonly setting: string;
  readonly host: string;
  readonly port: number;
  readonly tls: Config["tls"];
  readonly isOurs: (place: Place) => Promise<boolean>;
  /** The verdict where the listener cannot have it. */
  readonly refuse: typeof failed;
}

/** Looks whether the gRPC listener would get its port, or has it. */
export function checkGrpcPort({ grpcPort: port, host, tls }: Config): Promise<Verdict> {
  return checkPort({ setting: "GRPC_PORT", host, port, tls, isOurs: answersGrpc, refuse: failed });
}

/** The same for the HTTP listener. */
export function checkHttpPort({ httpPort: port, host, tls }: Config): Promise<Verdict> {
  return checkPort({ setting: "HTTP_PORT", host, port, tls, isOurs: answersHttp, refuse: failed });
}

/** The same for the listener of metrics, without which the service starts all the same. */
export async function checkMetricsPort({ metricsPort: port, host }: Config): Promise<Verdict> {
  if (port === 0) return ok("none: no metrics are served");
  return checkPort({ setting: "METRICS_PORT", host, port, tls: null, isOurs: answersMetrics, refuse: warning });
}

async function checkPort({ setting, host, port, tls, isOurs, refuse }: Port): Promise<Verdict> {
  if (port === 0) return ok("any that is free");
  const error = await tryPort(host, port);
  if (!error) return ok(`${port} of ${host} is free`);
  const { message } = listenError(setting, host, port, error);
  if (error.code === "EACCES") return refuse(message, `Choose ${setting} from 1024 up, or give the right to it.`);
  if (error.code !== "EADDRINUSE") return refuse(message, `Mend HOST or ${setting}.`);
  if (tls?.clientCa)
    return warning(message, "Only who has a client's certificate can ask whether it is this service that uses it.");
  return (await isOurs({ host: reachable(host), port, isSecure: tls !== null }))
    ? ok(`${port} of ${host} is a running Latchkey's`)
    : refuse(`${message}, by another program`, `End that one, or choose another ${setting}.`);
}

async function tryPort(host: string, port: number): Promise<NodeJS.ErrnoException | null> {
  const server = createServer().listen({ host, port, exclusive: true });
  try {
    await once(server, "listening");
    return null;
  } catch (error) {
    return error as NodeJS.ErrnoException;
  } finally {
    server.close();
  }
}

async function answersHttp(place: Place): Promise<boolean> {
  const answer = await askHealth(place, AbortSignal.timeout(ANSWER_MS)).catch(() => null);
  return answer?.body === '{"status":"ok"}';
}

async function answersMetrics(place: Place): Promise<boolean> {
  const answer = await ask(place, "/", AbortSignal.timeout(ANSWER_MS)).catch(() => null);
  return answer?.body === ELSEWHERE;
}

const NAME = "auth.v1.AuthService";

/** Asks grpc.health.v1.Health about our service: who knows its name is ours. */
async function answersGrpc({ host, port, isSecure }: Place): Promise<boolean> {
  const session = connect(`${isSecure ? "https" : "http"}://${addressOf(host, port)}`, ANY_CERTIFICATE);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(resolve, ANSWER_MS, false);
  session.on("error", () => resolve(false));
  const headers = { ":method": "POST", ":path": "/grpc.health.v1.Health/Check", te: "trailers" };
  const call = session.request({ ...headers, "content-type": "application/grpc" });
  call.on("error", () => resolve(false)).on("close", () => resolve(false));
  call.on("trailers", (trailers) => resolve(trailers["grpc-status"] === "0"));
  // A frame's header (no compression, length), then field 1 of HealthCheckRequest.
  call.resume().end(Buffer.from([0, 0, 0, 0, NAME.length + 2, 0x0a, NAME.length, ...Buffer.from(NAME)]));
  const answered = await promise;
  clearTimeout(timer);
  session.destroy();
  return answered;
}
