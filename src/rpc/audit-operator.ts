import { toJsonString } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AdminService } from "../../gen/auth/v1/admin_service_pb.ts";
import { type AuditEvent, AuditEventSchema, AuditEventType } from "../../gen/auth/v1/audit_event_pb.ts";
import { AuthError } from "../auth/errors.ts";
import type { AuditEventType as TypeName } from "../db/audit-recording.ts";
import { eventTypeNumber } from "./audit-messages.ts";
import { createOperatorCall, type OperatorWay, refuse } from "./operator.ts";

/** An entry of the audit log as an operator is told it. */
export interface LogEntry
  extends Pick<
    AuditEvent,
    "userId" | "reason" | "actor" | "sessionId" | "address" | "deviceName" | "detail" | "count"
  > {
  readonly time: Date;
  /** As in `sign_in`; `unspecified` for one of a later version. */
  readonly type: string;
  /** The whole of it as proto JSON on one line. */
  readonly json: string;
}

/** Which entries are asked for; undefined: all. `user` is an id, a username or an e-mail address. */
export interface LogFilter {
  readonly user: string | undefined;
  readonly type: TypeName | undefined;
  readonly since: Date | undefined;
}

/** A page of the log and the ways on from it, as ListAuditEvents has them. */
export interface LogPage {
  readonly entries: readonly LogEntry[];
  readonly nextPageToken: string;
  readonly followToken: string;
}

/** Reads a page; an empty token asks for the newest. */
export type ReadLog = (pageSize: number, pageToken: string) => Promise<LogPage>;

/** Builds the way to read the audit log as whoever has the database. Throws Refusal. */
export function createAuditOperator({ operatorRoutes, findUser }: OperatorWay) {
  const call = createOperatorCall(operatorRoutes);
  const idOf = async (user: string): Promise<bigint> => {
    try {
      return BigInt((await findUser(user)).id);
    } catch (error) {
      // Events outlive their accounts.
      const isGone = error instanceof AuthError && error.reason === "USER_NOT_FOUND" && /^[1-9]\d{0,15}$/.test(user);
      return isGone ? BigInt(user) : refuse(error);
    }
  };
  return {
    async reader({ user, type, since }: LogFilter): Promise<ReadLog> {
      const filter = {
        ...(user !== undefined && { userId: await idOf(user) }),
        ...(type && { type: eventTypeNumber(type) }),
        ...(since && { sinceTime: timestampFromDate(since) }),
      };
      return async (pageSize, pageToken) => {
        const answer = await call(AdminService.method.listAuditEvents, { ...filter, pageSize, pageToken });
        return { ...answer, entries: answer.events.map(readEvent) };
      };
    },
  };
}

function readEvent(event: AuditEvent): LogEntry {
  const { createTime, type, userId, reason, actor, sessionId, address, deviceName, detail, count } = event;
  const name = Object.entries(AuditEventType).find(([, number]) => number === type)?.[0] ?? "";
  return {
    ...{ userId, reason, actor, sessionId, address, deviceName, detail, count, type: name.toLowerCase() },
    time: createTime ? timestampDate(createTime) : new Date(0),
    json: toJsonString(AuditEventSchema, event),
  };
}
