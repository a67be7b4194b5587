package lab_test

import (
	"crypto/md5" //nolint:gosec // what RFC 2617 asks for
	"encoding/hex"
)

func digestOf(a1, nonce, a2 string) string {
	hash := func(s string) string {
		sum := md5.Sum([]byte(s)) //nolint:gosec // what RFC 2617 asks for
		return hex.EncodeToString(sum[:])
	}
	return hash(hash(a1) + ":" + nonce + ":" + hash(a2))
}
