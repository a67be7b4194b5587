package store

import "testing"

func TestAKeyIsNamedByItsScopeAndItsValue(t *testing.T) {
	for _, key := range [][2]string{{"site", "k"}, {"", "k"}, {"site", ""}, {"site", "a\x00b"}} {
		if scope, value := ParseKeyID(KeyID(key[0], key[1])); scope != key[0] || value != key[1] {
			t.Errorf("%q comes back as %q, %q", key, scope, value)
		}
	}
}
