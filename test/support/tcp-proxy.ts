import { once } from "node:events";
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Socket } from "node:net";
import type { Connection } from "../../src/db/connection.ts";

/** A way to a port on which connections can be lost without either end being told. */
export interface TcpProxy {
  readonly port: number;
  /** Carries nothing more over the connections that are open; later ones are carried. */
  lose(): void;
  stop(): Promise<void>;
}

/** Starts a proxy to a database; gives the URL of that database by way of it. */
export async function startDatabaseProxy(connection: Connection, at = 0): Promise<{ proxy: TcpProxy; url: string }> {
  const { host, port, user, password, database } = connection;
  const proxy = await startTcpProxy(host.startsWith("/") ? { path: `${host}/.s.PGSQL.${port}` } : { host, port }, at);
  const login = password === undefined ? user : `${user}:${encodeURIComponent(password)}`;
  return { proxy, url: `postgres://${login}@127.0.0.1:${proxy.port}/${database}` };
}

/** Starts a proxy to a port or socket, at the given port or any that is free. */
export async function startTcpProxy(target: NetConnectOpts, at = 0): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from);
      from.pipe(to);
      from.on("error", () => to.destroy()).on("close", () => sockets.delete(from));
    }
  }).listen(at, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    lose() {
      for (const socket of sockets) socket.unpipe().pause();
    },
    async stop() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
