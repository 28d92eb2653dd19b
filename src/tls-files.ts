import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContextOptions } from "node:tls";
import { ConfigError, type TlsFiles } from "./config.ts";
import { FaultyValue } from "./setting-values.ts";

/** A certificate with its key, and the authorities of clients, as the files had them at one moment. */
export interface Identity {
  readonly context: SecureContextOptions;
  readonly validFrom: Date;
  readonly validTo: Date;
}

const DAY = 86_400_000;
const NEAR = 14 * DAY;

/** Whether it is time to renew a certificate; those of a few days are renewed by half of their time, not 14 days before. */
export function isNearEnd({ validFrom, validTo }: Identity, now: number): boolean {
  return validTo.getTime() - now < Math.min(NEAR, (validTo.getTime() - validFrom.getTime()) / 4);
}

/** Reads the files of TLS and checks that a listener can serve them now. Throws ConfigError, which quotes none of them. */
export async function readIdentity({ cert, key, clientCa }: TlsFiles): Promise<Identity> {
  const faults: string[] = [];
  const attempt = async <T>(name: string, work: () => T | Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof FaultyValue)) throw error;
      faults.push(`${name} ${error.message}`);
      return null;
    }
  };
  const chain = await attempt("TLS_CERT", async () => parseChain(await readText(cert)));
  const privateKey = await attempt("TLS_KEY", async () => parseKey(await readText(key)));
  const authorities =
    clientCa && (await attempt("TLS_CLIENT_CA", async () => parseAuthorities(await readText(clientCa))));
  const identity =
    chain && privateKey && (await attempt("TLS_KEY", () => createIdentity(chain, privateKey, authorities || null)));
  if (!identity || faults.length > 0) throw new ConfigError(faults);
  return identity;
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new FaultyValue(`names a file that cannot be read${codeOf(error)}`);
  }
}

type Certificates = readonly [X509Certificate, ...X509Certificate[]];

function parseChain(text: string): Certificates {
  const chain = parseCertificates(text);
  const [{ validFromDate, validToDate }] = chain;
  if (validToDate.getTime() <= Date.now()) throw new FaultyValue(`expired on ${validToDate.toISOString()}`);
  if (validFromDate.getTime() > Date.now())
    throw new FaultyValue(`is not valid before ${validFromDate.toISOString()}: is the clock right?`);
  return chain;
}

function parseAuthorities(text: string): Certificates {
  const authorities = parseCertificates(text);
  if (authorities.every(({ validToDate }) => validToDate.getTime() <= Date.now()))
    throw new FaultyValue("holds no certificate that has not expired");
  return authorities;
}

const BEGIN = "-----BEGIN CERTIFICATE-----";
const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

function parseCertificates(text: string): Certificates {
  const blocks = text.match(BLOCK) ?? [];
  // A file that is still being written may end within a certificate.
  if (blocks.length < text.split(BEGIN).length - 1) throw new FaultyValue("holds a certificate that is cut off");
  const [first, ...others] = blocks.map(parseCertificate);
  if (!first) throw new FaultyValue("holds no certificate in PEM");
  return [first, ...others];
}

function parseCertificate(block: string): X509Certificate {
  try {
    return new X509Certificate(block);
  } catch {
    throw new FaultyValue("holds a certificate that cannot be read");
  }
}

function parseKey(text: string): KeyObject {
  if (/^-----BEGIN ENCRYPTED |^Proc-Type: 4,ENCRYPTED/m.test(text))
    throw new FaultyValue("is encrypted: give a key without a passphrase");
  try {
    return createPrivateKey(text);
  } catch {
    throw new FaultyValue("holds no private key in PEM");
  }
}

function createIdentity(chain: Certificates, key: KeyObject, authorities: Certificates | null): Identity {
  const [own] = chain;
  if (!own.checkPrivateKey(key)) throw new FaultyValue("does not belong to the first certificate of TLS_CERT");
  const context: SecureContextOptions = {
    cert: print(chain),
    key: key.export({ type: "pkcs8", format: "pem" }),
    ...(authorities && { ca: print(authorities) }),
    minVersion: "TLSv1.2",
  };
  try {
    createSecureContext(context);
  } catch (error) {
    throw new FaultyValue(`and TLS_CERT are refused by OpenSSL${codeOf(error)}`);
  }
  return { context, validFrom: own.validFromDate, validTo: own.validToDate };
}

function print(certificates: Certificates): string {
  return certificates.map((certificate) => certificate.toString()).join("");
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? ` (${error.code})` : "";
}
