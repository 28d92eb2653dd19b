import { subscribe, unsubscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";

/** A port's connections on which nothing was asked yet. */
export interface SilentConnections {
  /** Something was asked on this connection, or on what TLS makes of it. */
  speak(socket: Pick<Socket, "remoteAddress" | "remotePort">): void;
  /** Closes them, and knows no later ones. */
  close(): void;
}

const SOCKET_OPENED = "net.server.socket";

/**
 * Knows the connections to a port that have asked for nothing: browsers open them to spare, others never finish a
 * handshake. Servers count them as busy, so a stop would wait for them. Node tells of each on this channel, of those too
 * that a library keeps to itself.
 */
export function trackSilent(port: number): SilentConnections {
  const silent = new Map<string, Socket>();
  const onSocket = (message: unknown) => {
    const { socket } = message as { readonly socket: Socket };
    if (socket.localPort !== port) return;
    const peer = peerOf(socket);
    silent.set(peer, socket);
    socket.once("close", () => silent.delete(peer));
  };
  subscribe(SOCKET_OPENED, onSocket);
  return {
    speak: (socket) => void silent.delete(peerOf(socket)),
    close() {
      unsubscribe(SOCKET_OPENED, onSocket);
      for (const socket of silent.values()) socket.destroy();
    },
  };
}

function peerOf({ remoteAddress, remotePort }: Pick<Socket, "remoteAddress" | "remotePort">): string {
  return `${remoteAddress} ${remotePort}`;
}
