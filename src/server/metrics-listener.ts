import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { Log } from "../log.ts";
import { HEADERS_MS, IDLE_MS, MAX_HEADER_BYTES } from "../rpc/limits.ts";
import { addressOf, listenError } from "./listener.ts";
import type { Prometheus } from "./prometheus.ts";

/** Where metrics are served; port 0 takes any free one. */
export interface MetricsOptions {
  readonly metrics: Prometheus;
  readonly host: string;
  readonly port: number;
  readonly log: Log;
}

/** The listener of metrics. */
export interface MetricsListener {
  readonly address: string;
  close(): void;
}

/** What the listener answers to every path but its own. */
export const ELSEWHERE = "Not found: the metrics are at /metrics\n";

const OPTIONS = {
  maxHeaderSize: MAX_HEADER_BYTES,
  headersTimeout: HEADERS_MS,
  requestTimeout: HEADERS_MS,
  keepAliveTimeout: IDLE_MS,
};
const MAX_CONNECTIONS = 32;

/**
 * Serves `/metrics` over plain HTTP, to GET and HEAD. Where it cannot listen it warns and gives null: nobody should be
 * without sign-ins for want of figures.
 */
export async function startMetricsListener({
  metrics,
  host,
  port,
  log,
}: MetricsOptions): Promise<MetricsListener | null> {
  const server = createServer(OPTIONS, (req, res) => {
    answer(metrics, req, res).catch((error) => {
      log.error({ error }, "metrics could not be rendered");
      res.destroy();
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject).listen(port, host, resolve);
  try {
    await promise;
  } catch (error) {
    log.warn({ reason: listenError("METRICS_PORT", host, port, error).message }, "no metrics are served");
    return null;
  }
  server.off("error", reject).on("error", (error) => log.error({ error }, "metrics listener failed"));
  const address = server.address();
  return {
    address: addressOf(host, typeof address === "object" && address ? address.port : port),
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

async function answer(metrics: Prometheus, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const [path] = (req.url ?? "").split("?", 1);
  if (path !== "/metrics") return end(res, 404, ELSEWHERE);
  if (req.method !== "GET" && req.method !== "HEAD")
    return end(res.setHeader("allow", "GET, HEAD"), 405, "Method not allowed\n");
  end(res.setHeader("content-type", metrics.contentType), 200, await metrics.render());
}

function end(res: ServerResponse, status: number, text: string): void {
  if (!res.hasHeader("content-type")) res.setHeader("content-type", "text/plain; charset=utf-8");
  // Of a request that goes on, nothing more is read.
  res
    .writeHead(status, { "cache-control": "no-store", "x-content-type-options": "nosniff", connection: "close" })
    .end(text);
}
