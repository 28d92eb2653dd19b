import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { type Client, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import { AuthService } from "../../gen/auth/v1/auth_service_pb.ts";
import type { TestDatabase } from "./postgres.ts";
import { SECRET_KEY } from "./service.ts";

/** The service in a process of its own, on free ports, as `npm start` runs it. Its time is the real one. */
export interface ServiceProcess {
  readonly auth: Client<typeof AuthService>;
  readonly admin: Client<typeof AdminService>;
  /** Every line of its log. */
  readonly lines: string[];
  readonly grpcUrl: string;
  readonly httpUrl: string;
  readonly pid: number;
  /** The exit code, when it has ended. */
  readonly ended: Promise<number | null>;
  /** Sends a signal, SIGKILL unless another is given, and waits for the end; gives the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const running = new Set<ChildProcess>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
});

/**
 * Starts a service over a database, or, for null, over the embedded one of the `DATA_DIR` among the settings; rejects
 * with what it wrote when it ends before it is ready.
 */
export async function startProcess(
  database: TestDatabase | null,
  settings: Readonly<Record<string, string>> = {},
): Promise<ServiceProcess> {
  const env = {
    ...{
      PATH: process.env.PATH,
      ...(database && { DATABASE_URL: database.url }),
      SECRET_KEY,
      HTTP_PORT: "0",
      GRPC_PORT: "0",
      METRICS_PORT: "0",
      BCRYPT_COST: "10",
      RATE_LIMITS: "off",
    },
    ...{ PUBLIC_URL: "http://localhost:8080", ...settings },
  };
  // A folder without a .env file.
  const child = spawn(process.execPath, [MAIN], { env, cwd: tmpdir(), stdio: ["ignore", "ignore", "pipe"] });
  const ended = once(child, "exit").then(([code]): number | null => code);
  running.add(child);
  child.on("exit", () => running.delete(child));
  const lines: string[] = [];
  const { grpc, http } = await readUntilReady(child, lines);
  const grpcUrl = `http://${grpc}`;
  const transport = createGrpcTransport({ baseUrl: grpcUrl });
  return {
    auth: createClient(AuthService, transport),
    admin: createClient(AdminService, transport),
    lines,
    grpcUrl,
    httpUrl: `http://${http}`,
    pid: child.pid ?? 0,
    ended,
    stop(signal = "SIGKILL") {
      child.kill(signal);
      return ended;
    },
  };
}

interface Addresses {
  readonly grpc: string;
  readonly http: string;
}

function readUntilReady(child: ChildProcess, lines: string[]): Promise<Addresses> {
  const { promise, resolve, reject } = Promise.withResolvers<Addresses>();
  const output = child.stderr;
  if (!output) throw new Error("the process has no standard error");
  createInterface(output)
    .on("line", (line) => {
      lines.push(line);
      if (line.includes('"ready"')) resolve(JSON.parse(line));
    })
    .on("close", () => reject(new Error(lines.join("\n"))));
  return promise;
}
