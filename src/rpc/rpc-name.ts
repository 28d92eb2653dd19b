import type { DescMethod } from "@bufbuild/protobuf";

/** An RPC as logs, metrics and paths name it: `auth.v1.AuthService/SignIn`. */
export function rpcName({ parent, name }: DescMethod): string {
  return `${parent.typeName}/${name}`;
}
