import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { generate } from "selfsigned";
import type { TlsFiles } from "../../src/config.ts";

/** A certificate and its private key, in PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate is otherwise than good for localhost, for a year. */
export interface Wishes {
  readonly name?: string;
  readonly from?: Date;
  readonly to?: Date;
  readonly passphrase?: string;
}

/** An authority that nobody trusts unless told to. */
export interface Authority extends Pair {
  issue(wishes?: Wishes): Promise<Pair>;
}

export const DAY = 86_400_000;

/** The time that lies so many days ahead. */
export const inDays = (days: number) => new Date(Date.now() + days * DAY);

/** Makes an authority. */
export async function createAuthority(name = "Test authority"): Promise<Authority> {
  const { cert, private: key } = await generate([{ name: "commonName", value: name }], {
    ...{ keyType: "ec", algorithm: "sha256" },
    extensions: [{ name: "basicConstraints", cA: true, critical: true }],
  });
  return { cert, key, issue: (wishes) => issue({ cert, key }, wishes) };
}

/** Makes a certificate that signs itself, with an RSA key of so many bits. */
export async function createRsaPair(keySize: number): Promise<Pair> {
  const { cert, private: key } = await generate([], { keyType: "rsa", keySize, algorithm: "sha256" });
  return { cert, key };
}

async function issue(
  ca: Pair,
  { name = "localhost", from = inDays(-1), to = inDays(365), ...key }: Wishes = {},
): Promise<Pair> {
  const made = await generate([{ name: "commonName", value: name }], {
    ...{ ca, keyType: "ec", algorithm: "sha256", notBeforeDate: from, notAfterDate: to, ...key },
    extensions: [{ name: "subjectAltName", altNames: ADDRESSES }],
  });
  return { cert: made.cert, key: made.private };
}

const ADDRESSES = [
  { type: 2 as const, value: "localhost" },
  { type: 7 as const, ip: "127.0.0.1" },
];

/** A folder of PEM files, with the settings that name them. */
export function createTlsFolder() {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-test-"));
  const pathOf = (name: string) => join(folder, name);
  const files: TlsFiles = { cert: pathOf("tls.crt"), key: pathOf("tls.key"), clientCa: null };
  const write = (name: string, text: string) => writeFileSync(pathOf(name), text);
  return {
    ...{ folder, files, pathOf, write },
    writePair({ cert, key }: Pair): void {
      write("tls.crt", cert);
      write("tls.key", key);
    },
    /** Puts a file in another's place in one step, as who renews certificates does. */
    replace(name: string, text: string): void {
      write(`${name}.new`, text);
      renameSync(pathOf(`${name}.new`), pathOf(name));
    },
    remove: () => rmSync(folder, { recursive: true }),
  };
}
