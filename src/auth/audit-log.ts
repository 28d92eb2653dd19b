import type { AuditEvent, EventFilter, EventPage, FollowPosition } from "../db/audit-events.ts";
import type { AuditEventType } from "../db/audit-recording.ts";
import type { Database } from "../db/database.ts";
import type { Audit } from "./audit.ts";
import { FieldFault, requireFields } from "./fields.ts";
import { parseUserId } from "./identifiers.ts";
import { parsePageSize } from "./pages.ts";
import { isSnapshot } from "./snapshot.ts";
import { parseTime } from "./times.ts";

/** A page of the audit log, asked for; 0 and null are for all. */
export interface EventQuery {
  readonly userId: bigint;
  readonly type: AuditEventType | null;
  readonly since: Date | null;
  readonly until: Date | null;
  readonly pageSize: number;
  readonly pageToken: string;
}

/** A page of it, with the tokens for what is older and for what will be recorded. */
export interface EventAnswer {
  readonly events: readonly AuditEvent[];
  readonly nextPageToken: string;
  readonly followToken: string;
}

/** Where a page begins: below an id, or after all that somebody who follows the log has been told. */
type Place = { readonly before: number | null } | { readonly follow: FollowPosition };

/** Tells the audit log. */
export function createAuditLog(db: Database, audit: Audit) {
  const readOlder = async (filter: EventFilter, before: number | null, size: number): Promise<EventAnswer> => {
    const page = await db.statement(({ auditEvents }) => auditEvents.before(filter, before, size + 1));
    const events = page.events.slice(0, size);
    const last = page.events.length > size ? events.at(-1) : undefined;
    const nextPageToken = last ? toToken(`older ${last.id}`) : "";
    return { events, nextPageToken, followToken: toToken(`since ${page.snapshot}`) };
  };

  const readNewer = async (filter: EventFilter, position: FollowPosition, size: number): Promise<EventAnswer> => {
    const page = await db.statement(({ auditEvents }) => auditEvents.since(filter, position, size + 1));
    const events = page.events.slice(0, size);
    return { events, nextPageToken: "", followToken: toToken(goOn(page, position, size)) };
  };

  return {
    async list(query: EventQuery): Promise<EventAnswer> {
      const fields = requireFields({
        user_id: () => (query.userId === 0n ? null : parseUserId(query.userId)),
        since_time: () => parseTime(query.since),
        until_time: () => parseTime(query.until),
        page_size: () => parsePageSize(query.pageSize),
        page_token: () => parseToken(query.pageToken),
      });
      const { since_time: since, until_time: until } = fields;
      const filter = { userId: fields.user_id, type: query.type, since, until };
      // What this process was to write is among what it tells.
      await audit.flush();
      const { page_token: place, page_size: size } = fields;
      return "follow" in place ? readNewer(filter, place.follow, size) : readOlder(filter, place.before, size);
    },
  };
}

/** From the same snapshot and the last event told, when there are more; else from the snapshot that was read by. */
function goOn({ events, snapshot }: EventPage, { seen, told }: FollowPosition, size: number): string {
  const upTo = told?.upTo ?? snapshot;
  const last = events.length > size ? events[size - 1] : undefined;
  return last ? `since ${seen} ${upTo} ${last.tx} ${last.id}` : `since ${upTo}`;
}

function toToken(text: string): string {
  return Buffer.from(text).toString("base64url");
}

function parseToken(token: string): Place {
  if (token === "") return { before: null };
  const text = Buffer.from(token, "base64url").toString("latin1");
  const place = toToken(text) === token ? readPlace(text.split(" ")) : null;
  if (!place) throw new FieldFault("MALFORMED", "must be a next_page_token or a follow_token");
  return place;
}

const NUMBER = /^[1-9]\d{0,17}$/;

function readPlace([kind, ...parts]: readonly string[]): Place | null {
  const [first = "", upTo = "", tx = "", id = ""] = parts;
  if (kind === "older") return parts.length === 1 && NUMBER.test(first) ? { before: Number(first) } : null;
  if (kind !== "since" || !isSnapshot(first)) return null;
  if (parts.length === 1) return { follow: { seen: first, told: null } };
  const isTold = parts.length === 4 && isSnapshot(upTo) && NUMBER.test(tx) && NUMBER.test(id);
  return isTold ? { follow: { seen: first, told: { upTo, tx, id } } } : null;
}
