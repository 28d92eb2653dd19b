import { type App, createApp } from "./app.ts";
import type { Config } from "./config.ts";
import { createCors } from "./gateway/cors.ts";
import { createGateway } from "./gateway/rest.ts";
import { createLog, type Log } from "./log.ts";
import { createInvoke } from "./rpc/invoke.ts";
import { addressOf } from "./server/listener.ts";
import { startMetricsListener } from "./server/metrics-listener.ts";
import { createPrometheus } from "./server/prometheus.ts";
import { type Server, startServer } from "./server/server.ts";
import { isHere } from "./setting-values.ts";
import { catchStrayOutput } from "./stray-output.ts";
import { openTls, type Tls } from "./tls.ts";
import { VERSION } from "./version.ts";

const LONGEST_STOP_MS = 20_000;
// Ctrl-C under npm are two signals: the terminal's, and npm passes its own on.
const SAME_STOP_MS = 500;

/** Runs the service until it is told to stop: SIGTERM or SIGINT lets calls under way end, a second one does not. */
export async function serve(config: Config): Promise<void> {
  const log = createLog(config.debug ? "debug" : config.logLevel);
  catchStrayOutput(log);
  await serveUntil(listenForStop(), config, log);
  log.info({}, "stopped");
}

async function serveUntil(toldToStop: Promise<void>, config: Config, log: Log): Promise<void> {
  await using stack = new AsyncDisposableStack();
  const tls = config.tls ? await openTls(config.tls, log) : undefined;
  stack.defer(() => tls?.close());
  const metrics = config.metricsPort === 0 ? undefined : createPrometheus();
  const app = await createApp(config, { log, ...(metrics && { metrics }) });
  stack.defer(() => app.close());
  const figures =
    metrics && (await startMetricsListener({ metrics, host: config.host, port: config.metricsPort, log }));
  stack.defer(() => figures?.close());
  const server = await startServing(app, config, log, tls);
  stack.defer(() => server.drain());
  const mailbox = app.mailbox ? { mailbox: `${config.publicUrl}/dev/mailbox` } : {};
  const certificate = tls ? { certificateValidTo: tls.validTo() } : {};
  const [grpc, http] = [server.grpcPort, server.httpPort].map((port) => addressOf(config.host, port));
  if (app.mailbox && !isHere(config.host))
    log.warn({}, "the development mailbox, with its links, is open to other machines: set SMTP_URL");
  const told = { ...(figures && { metrics: figures.address }), ...certificate, ...mailbox };
  log.info({ version: VERSION, grpc, http, ...told }, "ready");
  await toldToStop;
  log.info({}, "stopping");
  // Calls under way have 10 s; a database that does not answer must not keep the process.
  setTimeout(() => process.exit(1), LONGEST_STOP_MS).unref();
}

/** Resolves when the process is told to stop. Told once more, it ends at once. */
function listenForStop(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let told = Number.POSITIVE_INFINITY;
  const onSignal = () => {
    const now = performance.now();
    if (now - told > SAME_STOP_MS) process.exit(1);
    told = Math.min(told, now);
    resolve();
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
  return promise;
}

/** Warms an app up, starts its jobs and opens both listeners. */
export async function startServing(app: App, config: Config, log: Log, tls: Tls | undefined): Promise<Server> {
  const { routes, isReady } = app;
  const { host, grpcPort, httpPort, publicUrl, passwordMinLength, corsOrigins } = config;
  const mailbox = app.mailbox ?? undefined;
  const gateway = createGateway({
    ...{ invoke: createInvoke(routes), log, publicUrl, passwordMinLength, mailbox },
    issuer: config.jwtIssuer,
  });
  const cors = corsOrigins.length > 0 ? createCors(corsOrigins, gateway.isPage) : undefined;
  await app.warmUp();
  await app.startJobs();
  return startServer({ routes, gateway, isReady, cors, tls, host, grpcPort, httpPort, log });
}
