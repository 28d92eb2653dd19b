import { isDeepStrictEqual } from "node:util";
import { type Call, type Outcome, rules, type World } from "./history-model.ts";

/**
 * The worlds that overlapping calls may have left: each is that of an order in which the calls, one after the other,
 * would have got the very answers that they got. A call that was answered before another was sent comes before it.
 */
export function worldsAfter(world: World, calls: readonly Call[]): World[] {
  const found: World[] = [];
  const follow = (current: World, left: readonly Call[]): void => {
    if (left.length === 0 && !found.some((other) => isDeepStrictEqual(other, current))) found.push(current);
    for (const call of left) {
      if (left.some(({ answeredAt }) => answeredAt < call.sentAt)) continue;
      const rule = rules[call.name] as (world: World, call: Call, before: World) => Outcome[];
      for (const [answer, next] of rule(current, call, world))
        if (isDeepStrictEqual(answer, call.answer))
          follow(
            next,
            left.filter((other) => other !== call),
          );
    }
  };
  follow(world, calls);
  return found;
}
