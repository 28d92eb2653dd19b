/** It is not known whether a token is good: which sessions have ended, or which keys there are, could not be learnt. */
export class VerifierAway extends Error {
  override readonly name = "VerifierAway";
}
