package redis

import (
	"strings"
	"testing"
)

func TestAURLSaysWhereARedisIs(t *testing.T) {
	for text, want := range map[string]struct {
		where, user, password, master string
		db                            int
		cluster, tls                  bool
	}{
		"redis://localhost":             {where: "redis://localhost:6379"},
		"redis://:pa%2Fss%40@h:7000/3":  {where: "redis://h:7000 database 3", password: "pa/ss@", db: 3},
		"redis://u:p:q@[::1]:7000":      {where: "redis://[::1]:7000", user: "u", password: "p:q"},
		"redis://[::1]":                 {where: "redis://[::1]:6379"},
		"redis://a@b@h?db=2":            {where: "redis://h:6379 database 2", user: "a@b", db: 2},
		"rediss://u:p@h":                {where: "rediss://h:6379", user: "u", password: "p", tls: true},
		"redis-sentinel://a,b:1/m":      {where: "redis-sentinel://a:26379,b:1/m", master: "m"},
		"rediss-sentinel://:p@a/m?db=4": {where: "rediss-sentinel://a:26379/m database 4", master: "m", password: "p", db: 4, tls: true},
		"redis-cluster://a:1,b:2,c":     {where: "redis-cluster://a:1,b:2,c:6379", cluster: true},
		"rediss-cluster://u:p@a?db=0":   {where: "rediss-cluster://a:6379", user: "u", password: "p", cluster: true, tls: true},

		"redis-sentinel://a/m?sentinel_user=s&sentinel_password=t": {where: "redis-sentinel://a:26379/m", master: "m"},
	} {
		got, err := parseURL(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got.where != want.where || got.user != want.user || got.password != want.password || got.master != want.master ||
			got.db != want.db || got.cluster != want.cluster || (got.tls != nil) != want.tls {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

func TestAWrongURLIsRefusedWithoutTheSecretsInIt(t *testing.T) {
	for _, text := range []string{
		"", "redis", "redis:secret", "http://secret", "redis-secret://h", "secret://h", "rediss-secret://h",
		"redis://", "redis://:secret@", "redis://:secret@h:secret", "redis://:secret@h:0", "redis://:secret@h:65536",
		"redis://:secret%@h", "redis://:%zz-secret@h", "redis://user:12/secret@h:6379", "redis://user:12?secret@h", "redis://user:12#secret",
		"redis://:secret@h/secret", "redis://:secret@h/-1", "redis://:secret@h/70000", "redis://:secret@a,b",
		"redis://:secret@h?secret=1", "redis://:secret@h?db=1&db=2", "redis://:secret@h?%zz", "redis://:secret@h?ca=x",
		"redis-sentinel://:secret@h", "redis-sentinel://h/%zzsecret", "redis-cluster://:secret@h/1",
		"redis://se cret", "redis://se:cret:1", "rediss://:secret@h?cert=/nowhere&key=/nowhere", "rediss://h?ca=/dev/null",
	} {
		_, err := parseURL(text)
		if err == nil {
			t.Errorf("%q was accepted", text)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzURL reads what stands in a configuration: what is accepted has hosts and
// says where it leads without the password.
func FuzzURL(f *testing.F) {
	for _, text := range []string{
		"redis://u:p@h:1/2", "rediss-sentinel://:p@a,b/m?db=1", "redis-cluster://[::1]:1,b", "redis://%41@h", "redis://h?ca=", "redis://a%00b",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "ca=") || strings.Contains(text, "cert=") || strings.Contains(text, "key=") {
			return // files
		}
		const secret = "hunter2hunter2"
		scheme, rest, found := strings.Cut(text, "://")
		for _, text := range []string{text, scheme + "://u:" + secret + "@" + rest} {
			got, err := parseURL(text)
			if err != nil {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("%q: %v", text, err)
				}
				continue
			}
			if len(got.addrs) == 0 || !found || strings.Contains(got.where, secret) || strings.ContainsAny(got.where, "\n\x00") {
				t.Errorf("%q was read as %+v", text, got)
			}
		}
	})
}
