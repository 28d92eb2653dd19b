import type { DescMethod } from "@bufbuild/protobuf";
import { Metadata, ServerInterceptingCall, type ServerInterceptor, ServerListenerBuilder } from "@grpc/grpc-js";
import type { Door } from "../door.ts";
import { rpcName } from "../rpc-name.ts";
import { readMessage } from "./message.ts";
import { addressOf } from "./peer.ts";
import { toStatus } from "./status.ts";

/** The door as an interceptor of grpc-js: of a call that it turns away not even the message is decoded. */
export function grpcDoor(door: Door): ServerInterceptor {
  const methods = new Map([...door.methods].map((method) => [`/${rpcName(method)}`, method]));
  return ({ path }, call) => {
    const method = methods.get(path);
    if (!method) return call instanceof ServerInterceptingCall ? call : new ServerInterceptingCall(call);
    return new ServerInterceptingCall(call, { start: (start) => start(listenAt(door, method, call)) });
  };
}

function listenAt(door: Door, method: DescMethod, call: Parameters<ServerInterceptor>[1]) {
  let [metadata, bytes] = [new Metadata(), Buffer.of()];
  return new ServerListenerBuilder()
    .withOnReceiveMetadata((received, pass) => {
      metadata = received;
      pass(received);
    })
    .withOnReceiveMessage((received: Buffer, pass) => {
      bytes = received;
      pass(received);
    })
    .withOnReceiveHalfClose((pass) => {
      const [header, peer] = [headerOf(metadata), addressOf(call)];
      const turned = door.knock({
        method,
        header,
        peer,
        protocol: "grpc",
        message: () => readMessage(method.input, bytes),
      });
      if (!turned) return pass();
      const refuse = () => call.sendStatus(toStatus(turned.error, NO_TRAILER));
      if (turned.heldMs > 0) setTimeout(refuse, turned.heldMs);
      else refuse();
    })
    .build();
}

const NO_TRAILER = new Headers();

function headerOf(metadata: Metadata): Pick<Headers, "get"> {
  return {
    get(name) {
      const values = metadata.get(name);
      return values.length > 0 ? values.join(", ") : null;
    },
  };
}
