"""Checks access tokens with PyJWT, which learns the keys from the JWK Set alone."""

import json
import sys

import jwt

url, issuer, audience, *tokens = sys.argv[1:]
keys = jwt.PyJWKClient(url)
required = ["iss", "aud", "sub", "sid", "jti", "iat", "exp", "username", "roles"]


def check(token):
    try:
        key = keys.get_signing_key_from_jwt(token)
        return jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer=issuer,
            audience=audience,
            options={"require": required},
        )
    except jwt.PyJWTError as error:
        return type(error).__name__


print(json.dumps([check(token) for token in tokens]))
