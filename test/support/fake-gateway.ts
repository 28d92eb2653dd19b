import { createServer, type IncomingHttpHeaders, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { create, type DescMessage, type DescMethodUnary, type MessageInitShape } from "@bufbuild/protobuf";
import { expect } from "chai";
import { createGateway, type GatewayOptions } from "../../src/gateway/rest.ts";
import type { Invoke, InvokeContext } from "../../src/rpc/invoke.ts";
import { refusal } from "../../src/rpc/reasons.ts";
import { guardConnection } from "../../src/server/http-guard.ts";

/** One RPC as the gateway called it. */
export interface RecordedCall {
  readonly rpc: string;
  readonly request: Record<string, unknown>;
  readonly context: InvokeContext;
}

/** What came back for one HTTP request. */
export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A request as it is written on the wire. */
export interface Sent {
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array;
}

type Answerer = (call: RecordedCall) => object | Promise<object>;

/** A gateway on a real port whose RPCs are answered by `answer`. */
export async function startFakeGateway(options: Partial<GatewayOptions> = {}) {
  const calls: RecordedCall[] = [];
  const logged: object[] = [];
  const fake = { calls, logged, answer: (() => ({})) as Answerer };
  const invoke = async <I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    init: MessageInitShape<I> | undefined,
    context: InvokeContext,
  ) => {
    if (context.fault) throw context.fault;
    const call = { rpc: method.name, request: plain(create(method.input, init)), context };
    calls.push(call);
    return create(method.output, (await fake.answer(call)) as MessageInitShape<O>);
  };
  const log = { debug() {}, info() {}, warn() {}, error: (fields: object) => void logged.push(fields) };
  const gateway = createGateway({
    invoke: invoke as Invoke,
    log,
    issuer: "https://sign-in.example",
    publicUrl: "https://sign-in.example",
    passwordMinLength: 8,
    ...options,
  });
  const server = createServer((req, res) => {
    guardConnection(req, res, () => false);
    void gateway(req, res);
  }).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    ...{ fake, port, server },
    /** Has every RPC refused from now on. */
    refuseWith(...[reason, more]: Parameters<typeof refusal>): void {
      fake.answer = () => {
        throw refusal(reason, more);
      };
    },
    /** The one call that there was. */
    onlyCall(): RecordedCall {
      expect(calls).to.have.length(1);
      return calls[0] ?? expect.fail();
    },
    send: (method: string, path: string, sent: Sent = {}) => sendTo(port, method, path, sent),
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

/** A gateway on a real port with fake RPCs. */
export type FakeGateway = Awaited<ReturnType<typeof startFakeGateway>>;

function sendTo(port: number, method: string, path: string, { headers = {}, body = "" }: Sent): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const length = { "content-length": String(Buffer.byteLength(body)) };
    const req = request({
      port,
      method,
      path,
      agent: false,
      headers: { ...(body === "" || "transfer-encoding" in headers ? {} : length), ...headers },
    });
    req.once("error", reject);
    req.once("response", (res: IncomingMessage) => {
      text(res).then((answer) => resolve({ status: res.statusCode ?? 0, headers: res.headers, body: answer }), reject);
    });
    req.end(body);
  });
}

function plain(message: object): Record<string, unknown> {
  const { $typeName: _, ...fields } = message as Record<string, unknown>;
  return fields;
}
