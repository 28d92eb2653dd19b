import { once } from "node:events";
import { createFileRegistry, fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Client, credentials, type MethodDefinition, type ServiceDefinition } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { expect } from "chai";
import { HealthImplementation } from "grpc-health-check";
import { startWire, urlOf, type Wire } from "./support/wire-kit.ts";

type Method = MethodDefinition<object, Record<string, never>>;

interface ReflectionAnswer {
  readonly listServicesResponse?: { readonly service: readonly { readonly name: string }[] };
  readonly fileDescriptorResponse?: { readonly fileDescriptorProto: readonly number[][] };
}

describe("gRPC tools", () => {
  let wire: Wire;
  let client: Client;
  before(async () => {
    wire = await startWire();
    client = new Client(`127.0.0.1:${wire.server.grpcPort}`, credentials.createInsecure());
  });
  after(async () => {
    client.close();
    await wire.server.close();
  });

  async function reflect({ path, requestSerialize, responseDeserialize }: Method, request: object) {
    const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize);
    call.end(request);
    const [answer] = (await once(call, "data")) as [ReflectionAnswer];
    return answer;
  }

  for (const method of reflectionMethods()) {
    it(`are told every service by ${method.path}`, async () => {
      const { listServicesResponse } = await reflect(method, { listServices: "*" });
      expect(listServicesResponse?.service.map(({ name }) => name)).to.have.members([
        "auth.v1.AuthService",
        "test.v1.Feed",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
      ]);
    });

    it(`can make out every service and error detail from ${method.path}`, async () => {
      const { listServicesResponse } = await reflect(method, { listServices: "*" });
      for (const { name } of listServicesResponse?.service ?? []) {
        const registry = await describeSymbol(method, name);
        expect(registry.getService(name)?.methods, name).not.to.have.length(0);
      }
      const detail = "google.rpc.ErrorInfo";
      expect((await describeSymbol(method, detail)).getMessage(detail)?.fields).to.have.length(3);
    });
  }

  /** What strict clients do: link the file of a symbol with all that it imports. */
  async function describeSymbol(method: Method, symbol: string) {
    const files = new Map<string, FileDescriptorProto>();
    const load = async (request: object) => {
      const { fileDescriptorResponse } = await reflect(method, request);
      for (const bytes of fileDescriptorResponse?.fileDescriptorProto ?? []) {
        const file = fromBinary(FileDescriptorProtoSchema, Uint8Array.from(bytes));
        files.set(file.name, file);
      }
    };
    await load({ fileContainingSymbol: symbol });
    const missing = () => [...files.values()].flatMap(({ dependency }) => dependency).find((name) => !files.has(name));
    for (let name = missing(); name; name = missing()) await load({ fileByFilename: name });
    const [root] = files.values();
    if (!root) throw new Error(`${symbol} is unknown`);
    return createFileRegistry(root, (name) => files.get(name));
  }

  it("are told the health of the server and of each service", async () => {
    const check = healthMethod("Check");
    for (const service of ["", "auth.v1.AuthService", "test.v1.Feed"]) {
      expect(await unary(client, check, { service }), service).to.deep.equal({ status: "SERVING" });
    }
    const unknown = await unary(client, check, { service: "nobody" }).catch((err) => err.code);
    expect(unknown).to.equal(5);
  });

  it("watch health until the service leaves, and are then sent away", async () => {
    const leaving = await startWire();
    const watcher = new Client(`127.0.0.1:${leaving.server.grpcPort}`, credentials.createInsecure());
    const { path, requestSerialize, responseDeserialize } = healthMethod("Watch");
    const call = watcher.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service: "" });
    const seen: unknown[] = [];
    call.on("data", (answer) => seen.push(answer));
    await once(call, "data");
    const ended = once(call, "error");
    await leaving.server.drain();
    expect((await ended)[0]).to.include({ code: 14 });
    expect(seen).to.deep.equal([{ status: "SERVING" }, { status: "NOT_SERVING" }]);
    watcher.close();
  });

  it("ask over HTTP whether the process lives and is ready", async () => {
    let isReady: () => Promise<boolean> = async () => true;
    const other = await startWire({ isReady: () => isReady() });
    const ask = async (path: string) => {
      const res = await fetch(`${urlOf(other.server.httpPort)}${path}`);
      return { status: res.status, body: await res.json() };
    };
    const ok = { status: 200, body: { status: "ok" } };
    const away = { status: 503, body: { detail: "Service temporarily unavailable", code: "UNAVAILABLE" } };
    expect(await ask("/healthz")).to.deep.equal(ok);
    expect(await ask("/readyz")).to.deep.equal(ok);
    isReady = async () => false;
    expect(await ask("/readyz")).to.deep.equal(away);
    isReady = () => Promise.reject(new Error("no database"));
    expect(await ask("/readyz")).to.deep.equal(away);
    expect(await ask("/healthz")).to.deep.equal(ok);
    await other.server.close();
  });
});

function definitionsOf(addable: { addToServer(server: { addService(definition: ServiceDefinition): void }): void }) {
  const definitions: ServiceDefinition[] = [];
  addable.addToServer({ addService: (definition) => definitions.push(definition) });
  return definitions;
}

function reflectionMethods(): Method[] {
  return definitionsOf(new ReflectionService({})).flatMap((definition) => Object.values(definition));
}

function healthMethod(name: string): Method {
  const method = definitionsOf(new HealthImplementation({}))[0]?.[name];
  if (!method) throw new Error(`${name} is missing`);
  return method;
}

function unary(client: Client, method: Method, request: object): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const { path, requestSerialize, responseDeserialize } = method;
  client.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (err, answer) =>
    err ? reject(err) : resolve(answer),
  );
  return promise;
}
