import type { SecureContextOptions, TlsOptions } from "node:tls";
import { isDeepStrictEqual } from "node:util";
import { ConfigError, type TlsFiles } from "./config.ts";
import type { Log } from "./log.ts";
import { type Identity, isNearEnd, readIdentity } from "./tls-files.ts";

/** One certificate for all listeners, which follows its files. */
export interface Tls {
  /** What a listener keeps for as long as it is open. */
  readonly serverOptions: TlsOptions;
  /** The certificate of now. */
  context(): SecureContextOptions;
  /** When the certificate of now ends. */
  validTo(): Date;
  /** Has each later certificate handed over; connections that are open keep theirs. */
  onRenewal(take: (context: SecureContextOptions) => void): void;
  /** Looks at the files at once. What cannot be served is warned of, and leaves everything as it is. */
  refresh(): Promise<void>;
  /** Looks no more. */
  close(): void;
}

const TIMES = { lookMs: 10_000, handshakeMs: 10_000 };

/**
 * Reads the files of TLS, and again every few seconds: by content, since renewals come as new files, renamed ones and
 * swapped links, of which no watcher sees all. Throws ConfigError.
 */
export async function openTls(files: TlsFiles, log: Log, times: Partial<typeof TIMES> = {}): Promise<Tls> {
  const { lookMs, handshakeMs } = { ...TIMES, ...times };
  const takers: ((context: SecureContextOptions) => void)[] = [];
  const warnings = createWarnings(log);
  let identity = await readIdentity(files);
  warnings.ofEnd(identity);

  const look = async () => {
    const found = await readIdentity(files);
    warnings.forgetFault();
    if (isDeepStrictEqual(found.context, identity.context)) return;
    identity = found;
    for (const take of takers) take(found.context);
    log.info({ validTo: found.validTo }, "certificate renewed");
  };
  let looking: Promise<void> | undefined;
  const refresh = () => {
    looking ??= look()
      .catch(warnings.ofFault)
      .finally(() => {
        warnings.ofEnd(identity);
        looking = undefined;
      });
    return looking;
  };
  const timer = setInterval(refresh, lookMs).unref();
  const asksClients = files.clientCa !== null;
  return {
    serverOptions: { requestCert: asksClients, rejectUnauthorized: asksClients, handshakeTimeout: handshakeMs },
    context: () => identity.context,
    validTo: () => identity.validTo,
    onRenewal: (take) => void takers.push(take),
    refresh,
    close: () => clearInterval(timer),
  };
}

const DAY = 86_400_000;

/** Says of a fault once until there is another, and of a near end once a day. */
function createWarnings(log: Log) {
  let lastFaults: readonly string[] = [];
  let endToldAt = Number.NEGATIVE_INFINITY;
  return {
    ofFault(error: unknown): void {
      const faults = error instanceof ConfigError ? error.faults : [String(error)];
      if (!isDeepStrictEqual(faults, lastFaults)) log.warn({ faults }, "certificate not renewed, the old one stays");
      lastFaults = faults;
    },
    forgetFault(): void {
      lastFaults = [];
    },
    ofEnd(identity: Identity): void {
      if (!isNearEnd(identity, Date.now()) || Date.now() - endToldAt < DAY) return;
      endToldAt = Date.now();
      const { validTo } = identity;
      log.warn({ validTo }, validTo.getTime() > Date.now() ? "certificate ends soon" : "certificate has expired");
    },
  };
}
