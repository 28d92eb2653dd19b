import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { expect } from "chai";
import { AuthService } from "../gen/auth/v1/auth_service_pb.ts";
import { createAddressRange } from "../src/address-range.ts";
import { createFindOrigin, type Origin } from "../src/rpc/origin.ts";
import { postJson } from "./support/http.ts";
import { refusalOf, signUpConfirmed } from "./support/people.ts";
import { startService, type TestService } from "./support/service.ts";
import { issueKey } from "./support/service-keys.ts";

const PERSON = "203.0.113.9";

describe("the address of whoever a call is for", () => {
  const findOrigin = createFindOrigin(createAddressRange(["10.0.0.0/8", "2001:db8:ffff::/48"]));
  const persons = (address: string): Origin => ({ address, addressIsPersons: true });
  const services = (address: string): Origin => ({ address, addressIsPersons: false });

  it("is the peer's, a person's only where it is public", () => {
    for (const peer of ["198.51.100.1", "2001:db8::1", "172.32.0.1", "100.128.0.1"])
      expect(findOrigin({ peer, forwardedFor: PERSON, fromGateway: false })).to.deep.equal(persons(peer));
    for (const peer of ["127.0.0.1", "::1", "192.168.1.1", "172.16.0.1", "100.64.0.1", "fd00::1", "fe80::1", ""])
      expect(findOrigin({ peer, forwardedFor: PERSON, fromGateway: false })).to.deep.equal(services(peer));
  });

  it("is the last that a trusted proxy or a gateway forwards, whatever was written before it", () => {
    const forwarded: Readonly<Record<string, Origin>> = {
      [PERSON]: persons(PERSON),
      [`1.1.1.1, ${PERSON}`]: persons(PERSON),
      [`1.1.1.1,${PERSON} , 10.1.2.3,2001:db8:ffff::7`]: persons(PERSON),
      [`junk, ${PERSON}:4711`]: persons(PERSON),
      "[2001:db8::9]:4711": persons("2001:db8::9"),
      "::ffff:203.0.113.9": persons(PERSON),
      "::FFFF:CB00:7109": persons(PERSON),
      "0:0:0:0:0:ffff:cb00:7109": persons(PERSON),
      "2001:DB8:0::9": persons("2001:db8::9"),
      "192.168.7.7": persons("192.168.7.7"),
    };
    for (const [forwardedFor, origin] of Object.entries(forwarded)) {
      expect(findOrigin({ peer: "10.0.0.1", forwardedFor, fromGateway: false }), forwardedFor).to.deep.equal(origin);
      expect(findOrigin({ peer: "127.0.0.1", forwardedFor, fromGateway: true }), forwardedFor).to.deep.equal(origin);
    }
  });

  it("is not known where they forward none, or no address", () => {
    for (const forwardedFor of [
      null,
      "",
      "unknown",
      `${PERSON}, unknown`,
      `${PERSON}, `,
      "10.1.1.1",
      "_hidden",
      "1.2.3",
    ])
      expect(findOrigin({ peer: "10.0.0.1", forwardedFor, fromGateway: false }), String(forwardedFor)).to.deep.equal(
        services("10.0.0.1"),
      );
  });

  describe("over each way in", () => {
    let service: TestService;
    let person: { readonly username: string; readonly password: string };
    before(async () => {
      service = await startService();
      person = await signUpConfirmed(service);
    });
    after(() => service.stop());

    /** Signs in by each way with these headers; gives the addresses that the sessions tell, the newest last. */
    async function addressesOf(headers: Readonly<Record<string, string>>): Promise<string[]> {
      const credentials = { login: person.username, password: person.password };
      const connect = createClient(
        AuthService,
        createConnectTransport({ baseUrl: service.httpUrl, httpVersion: "1.1" }),
      );
      await service.auth.signIn(credentials, { headers });
      await connect.signIn(credentials, { headers });
      const { status } = await postJson(service, "/sign-in", credentials, headers);
      expect(status).to.equal(200);
      const rows = await service.database.query<{ address: string }>(
        "SELECT host(address) AS address FROM sessions ORDER BY created_at DESC LIMIT 3",
      );
      return rows.map(({ address }) => address);
    }

    it("is what a gateway forwards that has a key of the scope, and of nobody else's", async () => {
      const { key: gateway } = await issueKey(service, ["gateway"]);
      const { key: other } = await issueKey(service, ["introspect", "admin"]);
      const forwarded = { "x-forwarded-for": `1.1.1.1, ${PERSON}` };
      expect(await addressesOf(forwarded)).to.deep.equal(Array(3).fill("127.0.0.1"));
      for (const presented of [{ "x-latchkey-key": gateway }, { authorization: `Bearer ${gateway}` }])
        expect(await addressesOf({ ...forwarded, ...presented })).to.deep.equal(Array(3).fill(PERSON));
      expect(await addressesOf({ ...forwarded, "x-latchkey-key": other })).to.deep.equal(Array(3).fill("127.0.0.1"));
    });

    it("is not asked for by a key that is none", async () => {
      const credentials = { login: person.username, password: person.password };
      for (const headers of [{ "x-latchkey-key": "lk_" }, { authorization: `Bearer lk_${"a".repeat(56)}` }])
        expect(await refusalOf(service.auth.signIn(credentials, { headers }))).to.equal("INVALID_TOKEN");
    });
  });
});
