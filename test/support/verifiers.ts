import { createVerifier, type Verifier, type VerifierOptions } from "../../src/client/verifier-entry.ts";
import { ISSUER } from "./fake-token-service.ts";
import type { TestService } from "./service.ts";
import { issueKey } from "./service-keys.ts";

/** Makes verifiers, and closes those that it has made. */
export function createVerifiers() {
  const open: Verifier[] = [];
  const start = (options: VerifierOptions): Verifier => {
    const verifier = createVerifier(options);
    open.push(verifier);
    return verifier;
  };
  return {
    /** One that follows a service with a key of its own. */
    async of(service: TestService, options: Partial<VerifierOptions> = {}): Promise<Verifier> {
      const { key } = await issueKey(service, ["watch", "introspect"]);
      const { jwtIssuer: issuer, jwtAudience: audience } = service.config;
      return start({ service: service.grpcUrl, serviceKey: key, issuer, audience, ...options });
    },
    /** One that follows whatever is at a URL and makes tokens as the fake service does. */
    at(service: VerifierOptions["service"], options: Partial<VerifierOptions> = {}): Verifier {
      return start({ service, serviceKey: "lk_test_key", issuer: ISSUER, ...options });
    },
    close(): void {
      for (const verifier of open.splice(0)) verifier.close();
    },
  };
}

/** Gives each test around a service of its own, and makes verifiers, which end with it. */
export function eachWithVerifiers<Service extends { stop(): Promise<void> }>(begin: () => Promise<Service>) {
  const verifiers = createVerifiers();
  let service: Service;
  beforeEach(async () => {
    service = await begin();
  });
  afterEach(async () => {
    verifiers.close();
    await service.stop();
  });
  return verifiers;
}

/** How a check ended: `good`, `bad`, or the name of the error. */
export function outcomeOf(verifier: Verifier, token: string): Promise<string> {
  return verifier.verify(token).then(
    (claims) => (claims ? "good" : "bad"),
    (error: Error) => error.name,
  );
}
