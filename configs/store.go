package configs

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Engines of a store.
const (
	SQLite = "sqlite"
	Redis  = "redis"
)

// Store says where records are kept.
type Store struct {
	Engine string // SQLite or Redis
	URL    Secret // of Redis, with the password that may be in it; of SQLite empty
	At     string // of Redis: where it is, for people, without user and password
}

// String is how the store is called in front of people. It shows no secret.
func (s Store) String() string {
	if s.Engine == Redis {
		return Redis + " at " + s.At
	}
	return s.Engine
}

// plain reports whether records travel to Redis unencrypted, and not to this
// machine only.
func (s Store) plain() bool {
	if s.Engine != Redis || strings.HasPrefix(s.URL.Reveal(), "rediss") {
		return false
	}
	hosts, _, _ := strings.Cut(s.At, "/")
	hosts, _, _ = strings.Cut(hosts, ",")
	host, _ := splitPort(hosts)
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return host != "localhost" && (err != nil || !ip.IsLoopback())
}

// store resolves env:NAME and file:PATH, for a URL may hold a password. What
// came from there is in no error.
func (d *decoder) store(text string) (Store, error) {
	kind, _, _ := strings.Cut(text, ":")
	if kind != "env" && kind != "file" {
		if s, err := ParseStore(text); err == nil || !word.MatchString(text) || strings.HasPrefix(text, Redis) {
			return s, err
		}
		return Store{}, fmt.Errorf("unknown value %s%s, or an address such as %s", show(text), hint(text, []string{SQLite}), exampleRedis)
	}
	secret, err := d.secret(text)
	if err != nil {
		return Store{}, err
	}
	if d.src.blind {
		return Store{Engine: Redis, URL: secret, At: text}, nil
	}
	s, err := ParseStore(secret.Reveal())
	if err != nil {
		return Store{}, fmt.Errorf("%s holds no store: %w", show(text), err)
	}
	return s, nil
}

const exampleRedis = "redis://127.0.0.1:6379"

// redisForm is how the URLs of one kind are written.
type redisForm struct {
	port   string // where none is given
	many   bool   // takes several hosts
	master bool   // its path is the name of the master, its database an option
}

// example is a URL of the kind.
func (f redisForm) example(scheme string) string {
	switch {
	case f.master:
		return scheme + "://10.0.0.1:26379,10.0.0.2:26379/mymaster"
	case f.many:
		return scheme + "://10.0.0.1:6379,10.0.0.2:6379"
	case scheme == "redis":
		return exampleRedis
	}
	return scheme + "://redis.example.net:6379"
}

// formOf is how URLs with a scheme are written; with rediss the way is
// encrypted.
func formOf(scheme string) (f redisForm, known bool) {
	base, kind, _ := strings.Cut(strings.ToLower(scheme), "-")
	if base != "redis" && base != "rediss" {
		return f, false
	}
	switch kind {
	case "":
		return redisForm{port: "6379"}, true
	case "sentinel":
		return redisForm{port: "26379", many: true, master: true}, true
	case "cluster":
		return redisForm{port: "6379", many: true}, true
	}
	return f, false
}

// ParseStore reads what the key store says: sqlite or the URL of a Redis. No
// error shows a user or a password.
func ParseStore(text string) (Store, error) {
	if text == SQLite {
		return Store{Engine: SQLite}, nil
	}
	scheme, rest, found := strings.Cut(text, "://")
	form, known := formOf(scheme)
	switch {
	case !found && text == Redis:
		return Store{}, fmt.Errorf("the address is missing: write %s", exampleRedis)
	case !found || !known && !word.MatchString(scheme):
		return Store{}, fmt.Errorf("expected %s or an address such as %s", SQLite, exampleRedis)
	case !known:
		return Store{}, fmt.Errorf("unknown kind of store %s://; write %s, or an address with redis://, redis-sentinel:// or redis-cluster://, over TLS rediss", scheme, SQLite)
	case scheme != strings.ToLower(scheme):
		return Store{}, fmt.Errorf("write %s:// in small letters", strings.ToLower(scheme))
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	hosts, behind := rest[:end], rest[end:]
	if strings.Contains(behind, "@") {
		return Store{}, errors.New("in a user or a password / is written %2F, ? is %3F, # is %23 and @ is %40")
	}
	if at := strings.LastIndex(hosts, "@"); at >= 0 {
		if err := checkUser(hosts[:at], scheme); err != nil {
			return Store{}, err
		}
		hosts = hosts[at+1:]
	}
	where, err := form.hosts(hosts, form.example(scheme))
	if err != nil {
		return Store{}, err
	}
	db, err := form.behind(behind, scheme)
	if err != nil {
		return Store{}, err
	}
	return Store{Engine: Redis, URL: NewSecret(text), At: where + db}, nil
}

// userText is what may stand for user and password in a URL as it is.
var userText = regexp.MustCompile(`^[0-9A-Za-z._~!$&'()*+,;=:%-]*$`)

// checkUser checks user and password, without telling either.
func checkUser(text, scheme string) error {
	user, password, both := strings.Cut(text, ":")
	switch {
	case !both:
		return fmt.Errorf("a password stands behind a colon: write %s://:PASSWORD@… or %s://USER:PASSWORD@…", scheme, scheme)
	case password == "":
		return errors.New("the password is empty: write USER:PASSWORD@, or leave all before the host out")
	}
	for _, part := range []string{user, password} {
		if _, err := url.PathUnescape(part); err != nil {
			return errors.New("in a user or a password % is written %25")
		}
		if !userText.MatchString(part) {
			return errors.New("user or password contain a character that is written as % and two hex digits there, such as %40 for @, %20 for a space")
		}
	}
	return nil
}

// hosts checks the hosts and returns them with their ports.
func (f redisForm) hosts(text, example string) (string, error) {
	if text == "" {
		return "", fmt.Errorf("the host is missing: write %s", example)
	}
	list := strings.Split(text, ",")
	if len(list) > 1 && !f.many {
		return "", errors.New("only one host may be given; several are those of redis-sentinel:// or redis-cluster://")
	}
	for i, one := range list {
		host, port := splitPort(one)
		ip, _ := netip.ParseAddr(strings.Trim(host, "[]"))
		switch {
		case !validHost(host) && (!ip.Is6() || !strings.HasPrefix(host, "[")):
			return "", fmt.Errorf("%s is not a host: a name or an address is, such as in %s", show(host), example)
		case port != "" && !isPort(port):
			return "", fmt.Errorf("%s is not a port: 1 to 65535", show(port))
		case port == "" && strings.HasSuffix(one, ":"):
			return "", fmt.Errorf("the port is missing: write %s:%s", host, f.port)
		case port == "":
			list[i] = host + ":" + f.port
		}
	}
	return strings.Join(list, ","), nil
}

// splitPort takes host:port apart. An IPv6 address keeps its brackets.
func splitPort(text string) (host, port string) {
	at := strings.LastIndex(text, ":")
	if at < 0 || strings.HasSuffix(text, "]") {
		return text, ""
	}
	return text[:at], text[at+1:]
}

// behind checks what stands behind the hosts: a database or the name of the
// master, and options. It returns what people are shown of it.
func (f redisForm) behind(text, scheme string) (string, error) {
	path, query, _ := strings.Cut(text, "?")
	name, example := strings.TrimPrefix(path, "/"), f.example(scheme)
	if strings.Contains(text, "#") {
		return "", errors.New("nothing follows a # here; in a password it is written %23")
	}
	db, err := f.options(query, scheme)
	switch {
	case err != nil:
		return "", err
	case f.master && !word.MatchString(name):
		return "", fmt.Errorf("the name of the master stands behind the hosts: write %s", example)
	case f.master && db != "":
		return "/" + name + "?db=" + db, nil
	case f.master:
		return "/" + name, nil
	case f.many && name != "":
		return "", errors.New("a cluster has no databases: nothing stands behind the hosts")
	case name != "" && !isDatabase(name):
		return "", fmt.Errorf("behind the host stands the number of a database: write %s/0", example)
	case name == "" || name == "0":
		return "", nil
	}
	return "/" + name, nil
}

// options checks what follows the question mark, and returns the database that
// it names.
func (f redisForm) options(query, scheme string) (db string, err error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", errors.New("behind the ? stands NAME=VALUE&NAME=VALUE")
	}
	for name, all := range values {
		known := false
		switch name {
		case "ca", "cert", "key":
			if !strings.HasPrefix(scheme, "rediss") {
				return "", errors.New("the options ca, cert and key are for TLS: write rediss instead of redis")
			}
			known = true
		case "sentinel_user", "sentinel_password":
			known = f.master
		case "db":
			if known, db = f.master, all[0]; known && !isDatabase(db) {
				return "", fmt.Errorf("the database is a number: write %s?db=1", f.example(scheme))
			}
		}
		if !known || len(all) > 1 {
			return "", errors.New("the options behind the ? are, each once, ca, cert and key of TLS, and with redis-sentinel:// also db, sentinel_user and sentinel_password")
		}
	}
	return db, nil
}

// isDatabase reports whether this is the number of a database.
func isDatabase(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == text
}
