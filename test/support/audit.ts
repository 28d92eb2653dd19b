import { AuditEventType } from "../../gen/auth/v1/audit_event_pb.ts";
import type { TestService } from "./service.ts";

type Options = Parameters<TestService["admin"]["listAuditEvents"]>[1];

/** An entry of the audit log, without its id, its time, and what is empty. */
export interface Told {
  readonly type: string;
  readonly reason?: string;
  readonly userId?: bigint;
  readonly actor: string;
  readonly sessionId?: string;
  readonly address?: string;
  readonly deviceName?: string;
  readonly detail?: string;
  readonly count?: number;
}

/** What is recorded of what `run` does, by whatever process, in the order in which it is. */
export async function recordedBy(
  { admin }: { readonly admin: Pick<TestService["admin"], "listAuditEvents"> },
  options: Options,
  run: () => Promise<unknown>,
): Promise<Told[]> {
  let { followToken: pageToken } = await admin.listAuditEvents({ pageSize: 1 }, options);
  await run();
  const told: Told[] = [];
  for (let length = -1; told.length > length; ) {
    length = told.length;
    const { events, followToken } = await admin.listAuditEvents({ pageSize: 100, pageToken }, options);
    told.push(...events.map(toTold));
    pageToken = followToken;
  }
  return told;
}

function toTold({
  $typeName: _,
  id: _id,
  createTime: _time,
  type,
  ...rest
}: Awaited<ReturnType<TestService["admin"]["listAuditEvents"]>>["events"][number]): Told {
  const name = Object.entries(AuditEventType).find(([, number]) => number === type)?.[0] ?? "";
  const known = Object.entries({ ...rest, count: rest.count === 1 ? 0 : rest.count }).filter(([, value]) => value);
  return { type: name.toLowerCase(), ...Object.fromEntries(known) } as Told;
}
