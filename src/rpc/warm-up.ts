import { create, type DescMessage, fromBinary, fromJson, toBinary, toJson } from "@bufbuild/protobuf";
import type { Routes } from "./routes.ts";

/** Encodes and decodes every message of routes once: the first time is slow, and a call would wait for it. */
export function warmUp({ services }: Routes): void {
  for (const { input, output } of services.flatMap(({ desc }) => desc.methods)) {
    exercise(input);
    exercise(output);
  }
}

function exercise(desc: DescMessage): void {
  fromBinary(desc, toBinary(desc, create(desc)));
  fromJson(desc, toJson(desc, create(desc)));
}
