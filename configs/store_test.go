package configs

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestStoreIsReadFromTheTextTheEnvironmentOrAFile(t *testing.T) {
	const secret = "redis://perezvon:" + hidden + "@10.0.0.5:6380/2"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "store"), []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PEREZVON_TEST_STORE_URL", secret)
	for text, want := range map[string]string{
		"sqlite":                      "sqlite",
		"redis://localhost":           "redis at localhost:6379",
		"redis://127.0.0.1:6380/":     "redis at 127.0.0.1:6380",
		"redis://127.0.0.1:6380/0":    "redis at 127.0.0.1:6380",
		secret:                        "redis at 10.0.0.5:6380/2",
		"env:PEREZVON_TEST_STORE_URL": "redis at 10.0.0.5:6380/2",
		"file:store":                  "redis at 10.0.0.5:6380/2",
		"rediss://:" + hidden + "%40:@redis.example.net":                         "redis at redis.example.net:6379",
		"redis-sentinel://a:1,10.0.0.2/mymaster":                                 "redis at a:1,10.0.0.2:26379/mymaster",
		"redis-sentinel://u:" + hidden + "@10.0.0.1/master?db=3":                 "redis at 10.0.0.1:26379/master?db=3",
		"redis-cluster://10.0.0.1:7000,10.0.0.2:7000":                            "redis at 10.0.0.1:7000,10.0.0.2:7000",
		"rediss-cluster://[2001:db8::1],[2001:db8::2]:7000":                      "redis at [2001:db8::1]:6379,[2001:db8::2]:7000",
		"rediss://redis.example.net/3?ca=ca.pem&cert=c&key=k":                    "redis at redis.example.net:6379/3",
		"rediss-sentinel://a/m?db=1&sentinel_user=s&sentinel_password=" + hidden: "redis at a:26379/m?db=1",
	} {
		cfg, err := Parse(filepath.Join(dir, "perezvon.yaml"), fmt.Appendf(nil, "store: %q\n", text), Sources{})
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := cfg.Store.String(); got != want {
			t.Errorf("%s is %s, want %s", text, got, want)
		}
		if url := cfg.Store.URL.Reveal(); text != SQLite && url != text && url != secret {
			t.Errorf("%s is opened with %s", text, url)
		}
		shown, err := json.Marshal(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if all := cfg.Summary() + string(shown) + fmt.Sprintf("%v %+v %#v", cfg, cfg.Store, cfg.Store) + strings.Join(cfg.Warnings(), ""); strings.Contains(all, hidden) {
			t.Errorf("%s is shown: %s", text, all)
		}
	}
}

func TestStoreThatCannotBeMeantIsToldWithWhatToWrite(t *testing.T) {
	const secret = "hunter2"
	const options = "the options behind the ? are, each once, ca, cert and key of TLS, and with redis-sentinel:// also db, sentinel_user and sentinel_password"
	for text, want := range map[string]string{
		"sqlit":                       `unknown value "sqlit"; did you mean "sqlite"?, or an address such as redis://127.0.0.1:6379`,
		"redis":                       "the address is missing: write redis://127.0.0.1:6379",
		"redis:6379":                  "expected sqlite or an address such as redis://127.0.0.1:6379",
		"postgres://me:hunter2@db/x":  "unknown kind of store postgres://; write sqlite, or an address with redis://, redis-sentinel:// or redis-cluster://, over TLS rediss",
		"me:hunter2://":               "expected sqlite or an address such as redis://127.0.0.1:6379",
		"Redis://localhost":           "write redis:// in small letters",
		"redis://":                    "the host is missing: write redis://127.0.0.1:6379",
		"redis://:hunter2@":           "the host is missing: write redis://127.0.0.1:6379",
		"redis://hunter2@localhost":   "a password stands behind a colon: write redis://:PASSWORD@… or redis://USER:PASSWORD@…",
		"redis://me:@localhost":       "the password is empty: write USER:PASSWORD@, or leave all before the host out",
		"redis://me:hunter2%@here":    "in a user or a password % is written %25",
		"redis://me:hunter2@@here":    "user or password contain a character that is written as % and two hex digits there, such as %40 for @, %20 for a space",
		"redis://me:hunter2/@here":    "in a user or a password / is written %2F, ? is %3F, # is %23 and @ is %40",
		"redis://me:hunter2#1@here":   "in a user or a password / is written %2F, ? is %3F, # is %23 and @ is %40",
		"redis://a,b":                 "only one host may be given; several are those of redis-sentinel:// or redis-cluster://",
		"redis://under_score!":        `"under_score!" is not a host: a name or an address is, such as in redis://127.0.0.1:6379`,
		"redis://localhost:":          "the port is missing: write localhost:6379",
		"redis://localhost:0":         `"0" is not a port: 1 to 65535`,
		"redis://localhost/zero":      "behind the host stands the number of a database: write redis://127.0.0.1:6379/0",
		"redis://localhost?db=1":      options,
		"redis://localhost?hunter2":   options,
		"redis://localhost?%zz=1":     "behind the ? stands NAME=VALUE&NAME=VALUE",
		"redis://localhost?ca=a":      "the options ca, cert and key are for TLS: write rediss instead of redis",
		"rediss://localhost?ca=a&ca=": options,
		"redis-cluster://a?db=1":      options,
		"redis://::1":                 `":" is not a host: a name or an address is, such as in redis://127.0.0.1:6379`,
		"redis://localhost/1#x":       "nothing follows a # here; in a password it is written %23",
		"redis-sentinel://10.0.0.1":   "the name of the master stands behind the hosts: write redis-sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster",
		"redis-sentinel://a/m?x=1":    options,
		"redis-sentinel://a/m?db=one": "the database is a number: write redis-sentinel://10.0.0.1:26379,10.0.0.2:26379/mymaster?db=1",
		"redis-cluster://a,b/1":       "a cluster has no databases: nothing stands behind the hosts",
		"env:PEREZVON_TEST_NOT_SET":   `environment variable "PEREZVON_TEST_NOT_SET" is not set; it is the server's environment that counts, which only a restart changes: file:PATH is read anew by a reload`,
		"env:PEREZVON_TEST_STORE_URL": `"env:PEREZVON_TEST_STORE_URL" holds no store: expected sqlite or an address such as redis://127.0.0.1:6379`,
	} {
		t.Setenv("PEREZVON_TEST_STORE_URL", secret)
		_, err := Parse("perezvon.yaml", fmt.Appendf(nil, "# a comment\nstore: %q\n", text), Sources{})
		if err == nil {
			t.Errorf("%s is accepted", text)
			continue
		}
		if got := strings.TrimPrefix(err.Error(), "perezvon.yaml:2:8: store: "); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", text, got, want)
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("shows the password: %v", err)
		}
	}
}

func TestStoreIsNoSecretToWhoAsksTheServerOnly(t *testing.T) {
	file := filepath.Join(t.TempDir(), "perezvon.yaml")
	if err := os.WriteFile(file, []byte("store: env:PEREZVON_TEST_NOT_SET\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if cfg, err := LoadWithoutSecrets(file); err != nil || cfg.Store.Engine != Redis {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestUnencryptedWayToRedisIsWarnedOf(t *testing.T) {
	for text, want := range map[string]bool{
		"sqlite": false, "redis://127.0.0.1": false, "redis://localhost:6380/1": false, "rediss://10.0.0.1": false,
		"redis://10.0.0.1": true, "redis://redis.example.net": true, "redis://[::1]": false, "redis://[2001:db8::1]": true, "rediss-sentinel://a/m": false, "redis-cluster://127.0.0.1:7000,127.0.0.1:7001": false,
	} {
		cfg, err := Parse("perezvon.yaml", fmt.Appendf(nil, "store: %q\n", text), Sources{})
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(strings.Join(cfg.Warnings(), "\n"), "store: calls and numbers travel to Redis unencrypted"); got != want {
			t.Errorf("%s: warned %t, want %t", text, got, want)
		}
	}
}

func TestAnotherStoreNeedsARestart(t *testing.T) {
	was, next := Default(), Default()
	next.Store = Store{Engine: Redis, URL: NewSecret("redis://localhost"), At: "localhost:6379"}
	if changed, restart := Changes(was, next); len(changed) > 0 || len(restart) != 1 || restart[0] != "store" {
		t.Errorf("%q, %q", changed, restart)
	}
}
