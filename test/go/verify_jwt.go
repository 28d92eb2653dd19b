// Checks access tokens with golang-jwt, which learns the keys from the JWK Set alone.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"os"

	"github.com/golang-jwt/jwt/v5"
)

type jwk struct{ Kid, Kty, Alg, Crv, X, Y, N, E string }

func main() {
	url, issuer, audience, tokens := os.Args[1], os.Args[2], os.Args[3], os.Args[4:]
	keys := fetch(url)
	find := func(token *jwt.Token) (any, error) {
		key, known := keys[fmt.Sprint(token.Header["kid"])]
		if !known || key.Alg != token.Method.Alg() {
			return nil, fmt.Errorf("no key for %v", token.Header)
		}
		return key.public(), nil
	}
	answers := []any{}
	for _, text := range tokens {
		token, err := jwt.Parse(text, find, jwt.WithIssuer(issuer), jwt.WithAudience(audience),
			jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding())
		if err != nil {
			answers = append(answers, err.Error())
		} else {
			answers = append(answers, token.Claims)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answers); err != nil {
		log.Fatal(err)
	}
}

func fetch(url string) map[string]jwk {
	answer, err := http.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	var set struct{ Keys []jwk }
	if err := json.NewDecoder(answer.Body).Decode(&set); err != nil {
		log.Fatal(err)
	}
	keys := map[string]jwk{}
	for _, key := range set.Keys {
		keys[key.Kid] = key
	}
	return keys
}

func (key jwk) public() any {
	if key.Kty == "EC" && key.Crv == "P-256" {
		return &ecdsa.PublicKey{Curve: elliptic.P256(), X: number(key.X), Y: number(key.Y)}
	}
	return &rsa.PublicKey{N: number(key.N), E: int(number(key.E).Int64())}
}

func number(text string) *big.Int {
	bytes, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		log.Fatal(err)
	}
	return new(big.Int).SetBytes(bytes)
}
