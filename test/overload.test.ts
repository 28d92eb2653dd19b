import { availableParallelism } from "node:os";
import { ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { RetryInfoSchema } from "../gen/google/rpc/error_details_pb.ts";
import { reasonOf } from "../src/wire/error-details.ts";
import { hashesOf } from "./support/hashes.ts";
import { newPerson, PASSWORD, refusalOf, signIn, signUpConfirmed } from "./support/people.ts";
import { errorOf } from "./support/refusals.ts";
import { startService, type TestService } from "./support/service.ts";
import { statementsOf } from "./support/statements.ts";
import { waitUntil } from "./support/wait.ts";

const PLACES = availableParallelism() * 33;
const FLOOD = Math.max(500, 4 * PLACES);
const STREAMS = 100;

describe("a flood of sign-ins", () => {
  let service: TestService;
  before(async () => {
    service = await startService({ config: { bcryptCost: 9, trustedProxies: ["127.0.0.1"] } });
  });
  after(() => service.stop());

  /** Clients on connections of their own, enough for all calls to be under way at once. */
  function openClients() {
    const transports = Array.from({ length: Math.ceil(FLOOD / STREAMS) }, () =>
      createGrpcTransport({ baseUrl: service.grpcUrl }),
    );
    const clients = transports.map((transport) => createClient(AuthService, transport));
    return (index: number) => clients[index % clients.length] ?? service.auth;
  }

  it("is hashed as far as the queue goes, while the rest is refused and everything else answered", async () => {
    const person = await signUpConfirmed(service);
    const { options } = await signIn(service, person);
    const clientOf = openClients();
    const refusals: string[] = [];
    const request = { login: person.username, password: PASSWORD };
    const seen = await hashesOf(async () => {
      const calls = Array.from({ length: FLOOD }, (_, i) =>
        refusalOf(clientOf(i).signIn(request)).then((refusal) => refusals.push(refusal)),
      );
      for (let asked = 0; asked < 20; asked++) {
        expect((await service.auth.getMe({}, options)).user?.id).to.equal(person.id);
      }
      expect(refusals).to.have.length.below(FLOOD);
      await Promise.all(calls);
    });
    const refused = refusals.filter((refusal) => refusal !== "");
    expect(new Set(refused)).to.deep.equal(new Set(["OVERLOADED"]));
    expect(refused.length).to.be.at.least(FLOOD / 4);
    expect(FLOOD - refused.length).to.be.at.least(PLACES);
    expect(seen).to.have.length(FLOOD - refused.length);
    // Whoever is refused does not wait for those who are not.
    expect(refusals.slice(-5)).to.deep.equal(Array(5).fill(""));
    expect(await refusalOf(service.auth.signIn(request))).to.equal("");
  });

  it("is told when to come back, in the details and as gRPC's own pushback", async () => {
    const error = await errorOf(hopeless(service));
    const [retry] = error.findDetails(RetryInfoSchema);
    const ms = Number(retry?.retryDelay?.seconds) * 1_000 + Number(retry?.retryDelay?.nanos) / 1e6;
    expect(ms).to.be.at.least(1_000);
    expect(error.metadata.get("grpc-retry-pushback-ms")).to.equal(String(ms));
  });

  it("is turned away before any table is read or any password hashed, when it cannot end in time", async () => {
    const person = await signUpConfirmed(service);
    const { headers } = (await signIn(service, person)).options;
    let statements: string[] = [];
    const seen = await hashesOf(async () => {
      statements = await statementsOf(async () => {
        for (const login of [person.username, newPerson().username]) {
          expect(await refusalOf(hopeless(service, login))).to.equal("OVERLOADED");
        }
        const signUp = inTime(() => service.auth.signUp(newPerson(), SHORT));
        expect(await refusalOf(signUp)).to.equal("OVERLOADED");
        const passwords = { currentPassword: PASSWORD, newPassword: "another horse battery" };
        const options = { headers: { ...headers, ...SHORT.headers } };
        const change = inTime(() => service.auth.changePassword(passwords, options));
        expect(await refusalOf(change)).to.equal("OVERLOADED");
      });
    });
    expect([seen, statements]).to.deep.equal([[], []]);
  });

  it("of which every call has a millisecond hashes nothing and harms nobody", async () => {
    const person = await signUpConfirmed(service);
    const clientOf = openClients();
    const request = { login: person.username, password: PASSWORD };
    const seen = await hashesOf(async () => {
      const calls = Array.from({ length: 500 }, (_, i) => clientOf(i).signIn(request, { timeoutMs: 1 }));
      const outcomes = await Promise.allSettled(calls);
      const codes = outcomes.map((outcome) => outcome.status === "rejected" && ConnectError.from(outcome.reason).code);
      expect(codes).not.to.include(false);
    });
    expect(seen).to.deep.equal([]);
    expect(await refusalOf(service.auth.signIn(request))).to.equal("");
  });

  it("whose callers go away is dropped from the queue", async () => {
    const person = await signUpConfirmed(service);
    const clientOf = openClients();
    const callers = new AbortController();
    const request = { login: person.username, password: PASSWORD };
    const seen = await hashesOf(async (begun) => {
      const calls = Array.from({ length: PLACES }, (_, i) => clientOf(i).signIn(request, { signal: callers.signal }));
      await waitUntil(() => begun.length > availableParallelism());
      callers.abort();
      await Promise.allSettled(calls);
      expect(await refusalOf(service.auth.signIn(request))).to.equal("");
    });
    expect(seen).to.have.length.below(PLACES / 2);
  });
});

/** Less than a hash takes; as a header, so that the client itself does not give up. */
const SHORT = { headers: { "grpc-timeout": "5m" } };

function hopeless({ auth }: TestService, login = "somebody"): Promise<unknown> {
  return inTime(() => auth.signIn({ login, password: PASSWORD }, SHORT));
}

/** Calls again when the little time that a call has was over before the service had it. */
async function inTime(call: () => Promise<unknown>): Promise<unknown> {
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (reasonOf(ConnectError.from(error)) !== "DEADLINE_EXCEEDED") throw error;
    }
  }
}
