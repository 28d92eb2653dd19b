/** Counts one more and gives how many there were in this second; at its end tells of all of them. */
export function createTally(tell: (count: number) => void = () => {}): () => number {
  let count = 0;
  const end = () => {
    tell(count);
    count = 0;
  };
  return () => {
    if (count === 0) setTimeout(end, 1000).unref();
    count += 1;
    return count;
  };
}
