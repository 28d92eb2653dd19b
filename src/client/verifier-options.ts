import type { SecureClientSessionOptions } from "node:http2";
import type { Transport } from "@connectrpc/connect";

/** What a check does while it is not known which sessions have ended. */
export type AwayPolicy = "introspect" | "reject" | "accept";

/** How to reach the service, and what its tokens must say. */
export interface VerifierOptions {
  /** Where the service speaks gRPC, such as `http://auth:50051`; or a Connect transport, which is the caller's to keep. */
  readonly service: string | Transport;
  /** Of the connection to an `https:` URL: whom to trust (`ca`), and who one is (`cert`, `key`) where that is asked. */
  readonly tls?: SecureClientSessionOptions | undefined;
  /** A service key with the scope `watch`, and `introspect` for that policy. */
  readonly serviceKey: string;
  /** Claim `iss`, to the letter: the service's JWT_ISSUER, or else its PUBLIC_URL without a slash at the end. */
  readonly issuer: string;
  /** Claim `aud`; `latchkey` unless the service's JWT_AUDIENCE is another. */
  readonly audience?: string | undefined;
  /**
   * Once the stream of revocations has been away for `awayAfterMs`, or before it was first there: `introspect` (the
   * default) asks the service about each token, `reject` throws VerifierAway, `accept` goes by signature and time alone.
   */
  readonly whenAway?: AwayPolicy | undefined;
  /** 5,000 unless given: until then, what is known is taken to be all. A stream that falls silent is away after 20 s. */
  readonly awayAfterMs?: number | undefined;
  /** How many tokens are remembered, so that their signatures are not checked again, at 1 KB each: 100,000 unless given. */
  readonly remembered?: number | undefined;
  /**
   * Told why, each time the stream has ended or the keys could not be fetched, and, once a minute at most, when a token
   * that the service has signed is from or for others than `issuer` and `audience` say: nothing else tells that.
   */
  readonly onFailure?: ((error: unknown) => void) | undefined;
}

/** Options with every default filled in. */
export type FilledOptions = { readonly [Name in keyof VerifierOptions]-?: NonNullable<VerifierOptions[Name]> };

const POLICIES: readonly string[] = ["introspect", "reject", "accept"] satisfies readonly AwayPolicy[];

/** Fills in the defaults. Throws a TypeError for options that could never work, such as an unset variable. */
export function fillOptions(options: VerifierOptions): FilledOptions {
  const { service, serviceKey, issuer, audience = "latchkey", whenAway = "introspect" } = options;
  const { awayAfterMs = 5_000, remembered = 100_000 } = options;
  if (typeof service === "string" && !(/^https?:\/\/[^/]/.test(service) && URL.canParse(service)))
    throw new TypeError("service must be a URL that begins with http:// or https://");
  // The key itself is not quoted: the message may end up in a log.
  if (!/^lk_[\w-]+$/.test(serviceKey)) throw new TypeError("serviceKey must be a service key, lk_…");
  if (typeof issuer !== "string" || issuer === "") throw new TypeError("issuer must be given");
  if (audience === "") throw new TypeError("audience must not be empty");
  if (!POLICIES.includes(whenAway)) throw new TypeError(`whenAway must be one of ${POLICIES.join(", ")}`);
  if (!(awayAfterMs >= 0)) throw new TypeError("awayAfterMs must be a number of milliseconds");
  if (!(Number.isSafeInteger(remembered) && remembered >= 0))
    throw new TypeError("remembered must be a number of tokens");
  return {
    ...{ service, serviceKey, issuer, audience, whenAway, awayAfterMs, remembered },
    tls: options.tls ?? {},
    onFailure: options.onFailure ?? (() => {}),
  };
}
