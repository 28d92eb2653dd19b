/** A connection, with what the library remarks on it: it was lost or gave no answer, or is being closed. */
interface Client {
  readonly _invalid?: boolean;
  readonly _ending?: boolean;
}

/** Tells which pooled connections are good. */
export interface LostConnections {
  /** To be told of each connection that was opened. */
  opened(client: object): void;
  /** To be asked before a pooled connection is used again. */
  isGood(client: Client): boolean;
}

/**
 * Knows a connection that was lost, and takes all that were opened before that was seen for lost as well: when the way to
 * the database changes, or a firewall has forgotten it, each of them would cost somebody the longest wait for an answer.
 */
export function createLostConnections(): LostConnections {
  const lossesBefore = new WeakMap<object, number>();
  let losses = 0;
  return {
    opened(client) {
      lossesBefore.set(client, losses);
    },
    isGood(client) {
      if (client._invalid) losses += 1;
      return !client._invalid && !client._ending && lossesBefore.get(client) === losses;
    },
  };
}
