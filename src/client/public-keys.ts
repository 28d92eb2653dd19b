import { createPublicKey, type KeyObject } from "node:crypto";
import type { Client } from "@connectrpc/connect";
import type { SigningKey, TokenService } from "../../gen/auth/v1/token_service_pb.ts";
import { createSignal } from "./signal.ts";

/** A public key and the one algorithm that it is used with. */
interface PublicKey {
  readonly alg: "ES256" | "RS256" | "PS256";
  readonly publicKey: KeyObject;
}

/** Keys are fetched anew for an unknown name at most this often. */
const FETCH_MS = 10_000;
/** And in any case this often, so that a retired key is not accepted for long. */
const RENEW_MS = 5 * 60_000;
const FIRST_RETRY_MS = 500;

/** Fetches the service's public keys, and again when a token names one that is not among them. */
export function watchPublicKeys(client: Pick<Client<typeof TokenService>, "listSigningKeys">) {
  const loaded = createSignal();
  let keys: ReadonlyMap<string, PublicKey> = new Map();
  let misses = 0;
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let fetching: Promise<boolean> | null = null;
  let timer: NodeJS.Timeout | undefined;
  let closed = false;

  const load = async (): Promise<boolean> => {
    try {
      const { keys: listed } = await client.listSigningKeys({});
      keys = new Map(listed.flatMap(readKey));
      loaded.set();
      return true;
    } catch {
      return false;
    }
  };
  const renew = async () => {
    const succeeded = await load();
    if (!closed) timer = setTimeout(renew, succeeded ? RENEW_MS : FIRST_RETRY_MS).unref();
  };
  void renew();

  return {
    find(kid: string): PublicKey | undefined {
      const key = keys.get(kid);
      if (!key) misses += 1;
      return key;
    },
    /** How often `find` has found nothing. */
    misses: () => misses,
    /** Whether the keys were fetched just now; not again soon after the last time, and once for all who ask. */
    async fetch(): Promise<boolean> {
      if (!fetching && performance.now() - fetchedAt < FETCH_MS) return false;
      fetchedAt = performance.now();
      fetching ??= load().finally(() => {
        fetching = null;
      });
      return fetching;
    },
    ready: loaded.wait,
    close() {
      closed = true;
      clearTimeout(timer);
    },
  };
}

function readKey({ kid, alg, kty, crv, x, y, n, e }: SigningKey): [string, PublicKey][] {
  if (alg !== "ES256" && alg !== "RS256" && alg !== "PS256") return [];
  const key = kty === "EC" ? { kty, crv, x, y } : { kty, n, e };
  return [[kid, { alg, publicKey: createPublicKey({ key, format: "jwk" }) }]];
}
