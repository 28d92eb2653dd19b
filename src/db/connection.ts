import { parse } from "pg-connection-string";

/** Where the database is, in the words of the `pg` driver. */
export interface Connection {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password?: string;
  readonly database: string;
  readonly ssl?: boolean | object;
}

/** Reads a `postgres://` URL; `host` may be the folder of a Unix socket. */
export function parseConnection(url: string): Connection {
  const { host, port, user, password, database, ssl } = parse(url);
  return {
    host: host || "localhost",
    port: Number(port || 5432),
    user: user || "postgres",
    database: database || user || "postgres",
    ...(password !== undefined && { password }),
    ...(typeof ssl === "boolean" || typeof ssl === "object" ? { ssl } : {}),
  };
}
