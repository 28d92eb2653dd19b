import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  type AuditEvent as AuditEventMessage,
  AuditEventSchema,
  AuditEventType,
} from "../../gen/auth/v1/audit_event_pb.ts";
import { invalidField } from "../auth/errors.ts";
import type { AuditEvent } from "../db/audit-events.ts";
import { AUDIT_EVENT_TYPES, type AuditEventType as TypeName } from "../db/audit-recording.ts";

const TYPES: ReadonlyMap<string, AuditEventType> = new Map(
  AUDIT_EVENT_TYPES.map((name) => [name, eventTypeNumber(name)]),
);

/** An entry of the audit log on the wire. */
export function auditEventMessage(event: AuditEvent): AuditEventMessage {
  const { id, createdAt, type, reason, userId, actor, sessionId, address, deviceName, detail, count } = event;
  return create(AuditEventSchema, {
    ...{
      id: BigInt(id),
      createTime: timestampFromDate(createdAt),
      type: TYPES.get(type) ?? AuditEventType.UNSPECIFIED,
    },
    ...{ reason, userId: BigInt(userId ?? 0), actor, sessionId, address, deviceName, detail, count },
  });
}

/** The type that a filter names; null: every one. */
export function readEventType(type: AuditEventType): TypeName | null {
  if (type === AuditEventType.UNSPECIFIED) return null;
  const name = AUDIT_EVENT_TYPES.find((known) => eventTypeNumber(known) === type);
  if (!name) throw invalidField("type", "MALFORMED", "must be an AuditEventType");
  return name;
}

/** The number of a type on the wire; a name that has none does not compile. */
export function eventTypeNumber(name: TypeName): AuditEventType {
  return AuditEventType[name.toUpperCase() as Uppercase<TypeName>];
}
