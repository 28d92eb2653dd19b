import { createVerifier } from "../src/client/verifier-entry.ts";
import { mochaGlobalSetup, mochaGlobalTeardown } from "../test/support/postgres.ts";
import { startService } from "../test/support/service.ts";
import { issueKey } from "../test/support/service-keys.ts";
import { compare, processorTime, report } from "./compare.ts";
import { createMint, rawSignature, rawVerifiers } from "./tokens.ts";

// The verifier on tokens that it has not seen against the signature alone, and on tokens that it has.

const FRESH = 2_000;
const REMEMBERED = 20_000;
const ROUNDS = 15;

await mochaGlobalSetup();
const service = await startService();
const { key } = await issueKey(service, ["watch", "introspect"]);
const verifier = createVerifier({ service: service.grpcUrl, serviceKey: key, issuer: service.config.jwtIssuer });
await verifier.ready();
const mint = createMint(service.app.signingKeys, service.config);
const raw = rawVerifiers(service.app.signingKeys);

/** Gives the time for each token. */
async function timed<T>(tokens: readonly T[], check: (token: T) => unknown): Promise<number> {
  const begun = processorTime();
  for (const token of tokens) if (!(await check(token))) throw new Error("a good token was refused");
  return (processorTime() - begun) / tokens.length;
}

// As a request brings it: a string of its own, that nobody has looked at yet.
const copy = (token: string) => Buffer.from(token).toString("latin1");

const known = mint(REMEMBERED);
for (const token of known) await verifier.verify(token);
const [jose = 0, der = 0, fresh = 0, remembered = 0] = await compare(
  [
    { name: "crypto.verify, ES256", round: () => timed(mint(FRESH).map(rawSignature), raw.jose) },
    { name: "crypto.verify, the same signature in DER", round: () => timed(mint(FRESH).map(rawSignature), raw.der) },
    { name: "verifier, a token that it has not seen", round: () => timed(mint(FRESH), verifier.verify) },
    { name: "verifier, a token that it has seen", round: () => timed(known.map(copy), verifier.verify) },
  ],
  ROUNDS,
);
report("not seen: of the speed of crypto.verify, ES256", jose / fresh);
report("not seen: of the speed of crypto.verify in DER", der / fresh);
report("seen: of 500,000 / s on one core", 2 / remembered, 1);

verifier.close();
await service.stop();
await mochaGlobalTeardown();
process.exit();
