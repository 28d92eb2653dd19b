import {
  Client,
  type ClientDuplexStream,
  credentials,
  type Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerInterceptor,
  type ServerReadableStream,
  type ServerUnaryCall,
  type ServiceDefinition,
  type ServiceError,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { claimsOf } from "../../src/client/verifier-entry.ts";

/** A grpc-js server that says to whom it speaks, before each text that it is sent; and a client of it. */
export interface GrpcEcho {
  /** Names of the methods that were called, and `cancelled` for each of their calls that was. */
  readonly events: string[];
  /** One text by each kind of call; rejects with the status. */
  unary(text: string, metadata: Metadata, path?: string): Promise<string>;
  collect(texts: readonly string[], metadata: Metadata): Promise<string>;
  chat(texts: readonly string[], metadata: Metadata): Promise<string[]>;
  /** A chat that goes on; `ended` resolves with its status. */
  openChat(metadata: Metadata): { readonly call: ClientDuplexStream<string, string>; readonly ended: Promise<number> };
  stop(): void;
}

const toBytes = (text: string) => Buffer.from(text);
const toText = (bytes: Buffer) => bytes.toString();
const method = (path: string, requestStream: boolean, responseStream: boolean): ServiceDefinition[string] => ({
  ...{ path, requestStream, responseStream },
  ...{ requestSerialize: toBytes, requestDeserialize: toText, responseSerialize: toBytes, responseDeserialize: toText },
});
const DEFINITION = {
  unary: method("/echo.Echo/Unary", false, false),
  open: method("/echo.Open/Unary", false, false),
  collect: method("/echo.Echo/Collect", true, false),
  chat: method("/echo.Echo/Chat", true, true),
};

/** Starts it behind an interceptor. */
export async function startGrpcEcho(interceptor: ServerInterceptor): Promise<GrpcEcho> {
  const events: string[] = [];
  const server = new Server({ interceptors: [interceptor] });
  server.addService(DEFINITION, createHandlers(events));
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
  const openChat = (metadata: Metadata) =>
    client.makeBidiStreamRequest(DEFINITION.chat.path, toBytes, toText, metadata);
  return {
    events,
    unary: (text, metadata, path = DEFINITION.unary.path) =>
      answer((take) => void client.makeUnaryRequest(path, toBytes, toText, text, metadata, take)),
    collect: (texts, metadata) =>
      answer((take) => {
        const call = client.makeClientStreamRequest(DEFINITION.collect.path, toBytes, toText, metadata, take);
        for (const text of texts) call.write(text);
        call.end();
      }),
    openChat(metadata) {
      const call = openChat(metadata).on("error", () => {});
      const ended = new Promise<number>((resolve) => call.on("status", ({ code }) => resolve(code)));
      return { call, ended };
    },
    async chat(texts, metadata) {
      const call = openChat(metadata);
      for (const text of texts) call.write(text);
      call.end();
      return call.toArray();
    },
    stop() {
      client.close();
      server.forceShutdown();
    },
  };
}

function answer(call: (take: (error: ServiceError | null, text?: string) => void) => void): Promise<string> {
  return new Promise((resolve, reject) => {
    call((error, text = "") => (error ? reject(error) : resolve(text)));
  });
}

function createHandlers(events: string[]) {
  const greet = (metadata: Metadata, text: string) => `${claimsOf(metadata)?.username ?? "somebody"}: ${text}`;
  const unary = (call: ServerUnaryCall<string, string>, reply: sendUnaryData<string>) => {
    events.push("unary");
    reply(null, greet(call.metadata, call.request));
  };
  return {
    ...{ unary, open: unary },
    async collect(call: ServerReadableStream<string, string>, reply: sendUnaryData<string>) {
      events.push("collect");
      const texts = await call.toArray().catch(() => []);
      reply(null, greet(call.metadata, texts.join()));
    },
    chat(call: ServerDuplexStream<string, string>) {
      events.push("chat");
      call.on("cancelled", () => events.push("cancelled"));
      call.on("data", (text) => call.write(greet(call.metadata, text))).on("end", () => call.end());
    },
  };
}
