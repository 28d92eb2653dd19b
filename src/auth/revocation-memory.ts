import { type Clock, now } from "../clock.ts";
import type { StoredRevocation } from "../db/revocations.ts";
import type { Revocation } from "../db/session-endings.ts";

/** A revocation in force; which transaction wrote it is null until that was read from the database. */
export interface KnownRevocation {
  readonly expiresAt: Date;
  readonly tx: bigint | null;
}

/** The revocations in force, by session. */
export function createRevocationMemory(clock: Clock) {
  const inForce = new Map<string, KnownRevocation>();
  const all: ReadonlyMap<string, KnownRevocation> = inForce;
  return {
    all,

    has: (sessionId: string): boolean => (inForce.get(sessionId)?.expiresAt.getTime() ?? 0) > now(clock),

    /** Gives those that were not known. */
    learn(revocations: readonly (Revocation | StoredRevocation)[]): Revocation[] {
      return revocations.filter((revocation) => {
        const { sessionId, expiresAt } = revocation;
        const known = inForce.get(sessionId);
        inForce.set(sessionId, { expiresAt, tx: "tx" in revocation ? revocation.tx : (known?.tx ?? null) });
        return known?.expiresAt.getTime() !== expiresAt.getTime();
      });
    },

    /** What was learnt stays in force; in which transaction it was written has no meaning any more. */
    forgetTransactions(): void {
      for (const [sessionId, { expiresAt }] of inForce) inForce.set(sessionId, { expiresAt, tx: null });
    },

    /** Forgets what is over by the database's clock too: this process's may be wrong for a while. */
    sweep(readAt: Date): void {
      const end = Math.min(readAt.getTime(), now(clock));
      for (const [sessionId, { expiresAt }] of inForce) if (expiresAt.getTime() <= end) inForce.delete(sessionId);
    },
  };
}
