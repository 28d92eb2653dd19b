import { createApp } from "./app.ts";
import type { Config } from "./config.ts";
import { createGateway } from "./gateway/rest.ts";
import { createLog } from "./log.ts";
import { createInvoke } from "./rpc/invoke.ts";
import { startServer } from "./server.ts";

/** Runs the service until it is told to stop: SIGTERM or SIGINT lets calls under way end, a second one does not. */
export async function serve(config: Config): Promise<void> {
  const log = createLog(config.debug ? "debug" : config.logLevel);
  const stopping = Promise.withResolvers<void>();
  let signals = 0;
  const onSignal = () => {
    signals += 1;
    if (signals > 1) process.exit(1);
    stopping.resolve();
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);

  await using stack = new AsyncDisposableStack();
  const app = await createApp(config, { log });
  stack.defer(() => app.close());
  await app.warmUp();
  const invoke = createInvoke(app.routes);
  const { host, grpcPort, httpPort, publicUrl, passwordMinLength } = config;
  const gateway = createGateway({ invoke, log, publicUrl, passwordMinLength, mailbox: app.mailbox ?? undefined });
  const server = await startServer({
    routes: app.routes,
    gateway,
    isReady: app.isReady,
    host,
    grpcPort,
    httpPort,
    log,
  });
  stack.defer(() => server.drain());
  await app.sendMails();
  const mailbox = app.mailbox ? { mailbox: `${publicUrl}/dev/mailbox` } : {};
  log.info({ grpc: `${host}:${server.grpcPort}`, http: `${host}:${server.httpPort}`, ...mailbox }, "ready");
  await stopping.promise;
  log.info({}, "stopping");
}
