import type { Http2Session, Http2Stream } from "node:http2";

/** What Node keeps of a connection's streams, and asks of it. */
interface StreamTables {
  streams: Pick<Map<number, Http2Stream>, "size" | "get" | "set" | "delete" | "forEach">;
  pendingStreams: Pick<Set<Http2Stream>, "size" | "add" | "delete" | "forEach">;
}

/**
 * Has Node keep a connection's streams in tables of ours instead of a Map and a Set; where Node keeps them otherwise,
 * nothing changes. Gives whether it does.
 *
 * Of a Map or Set that is much written to, V8 leaves each table that was outgrown pointing to the next. Once one of them
 * is in the old generation, the young ones after it live on with the streams that they name, until a collection of
 * everything: under a flood of short calls a quarter of all that they ever allocated, which stops the process for 100 ms
 * every few seconds.
 */
export function replaceStreamTables(session: Http2Session): boolean {
  const state = stateOf(session);
  if (!state) return false;
  const { streams, pendingStreams } = state;
  state.streams = createStreamMap();
  state.pendingStreams = createStreamSet();
  streams.forEach((stream, id) => void state.streams.set(id, stream));
  pendingStreams.forEach((stream) => void state.pendingStreams.add(stream));
  return true;
}

function stateOf(session: Http2Session): StreamTables | null {
  const symbol = Object.getOwnPropertySymbols(session).find(({ description }) => description === "state");
  const state = symbol && Reflect.get(session, symbol);
  return tagOf(state?.streams) === "Map" && tagOf(state.pendingStreams) === "Set" ? state : null;
}

function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice("[object ".length, -1);
}

function createStreamMap(): StreamTables["streams"] {
  const byId: Record<number, Http2Stream> = Object.create(null);
  let size = 0;
  const table: StreamTables["streams"] = {
    get size() {
      return size;
    },
    get: (id) => byId[id],
    set(id, stream) {
      if (!(id in byId)) size += 1;
      byId[id] = stream;
      return table as Map<number, Http2Stream>;
    },
    delete(id) {
      if (!(id in byId)) return false;
      size -= 1;
      return delete byId[id];
    },
    forEach(visit) {
      for (const [id, stream] of Object.entries(byId)) visit(stream, Number(id), table as Map<number, Http2Stream>);
    },
  };
  return table;
}

// A server's stream is in it for a moment.
function createStreamSet(): StreamTables["pendingStreams"] {
  const streams: Http2Stream[] = [];
  const table: StreamTables["pendingStreams"] = {
    get size() {
      return streams.length;
    },
    add(stream) {
      if (!streams.includes(stream)) streams.push(stream);
      return table as Set<Http2Stream>;
    },
    delete(stream) {
      const index = streams.indexOf(stream);
      if (index >= 0) streams.splice(index, 1);
      return index >= 0;
    },
    forEach(visit) {
      for (const stream of [...streams]) visit(stream, stream, table as Set<Http2Stream>);
    },
  };
  return table;
}
