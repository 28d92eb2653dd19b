import { ServerCredentials } from "@grpc/grpc-js";
import type { Tls } from "../../tls.ts";

/** Server credentials whose certificate follows that of `tls`. */
export function createTlsCredentials(tls: Tls): ServerCredentials {
  return new TlsCredentials(tls);
}

/** A class, since grpc-js hands a new certificate to its servers by a protected method alone. */
class TlsCredentials extends ServerCredentials {
  constructor(tls: Tls) {
    super(tls.serverOptions, tls.context());
    tls.onRenewal((context) => this.updateSecureContextOptions(context));
  }

  override _equals(other: ServerCredentials): boolean {
    return this === other;
  }
}
