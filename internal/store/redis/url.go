package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// target is what a URL says.
type target struct {
	where                 string // scheme, hosts and path, for people
	addrs                 []string
	cluster               bool
	master                string // of Sentinel; empty: none
	db                    int
	user, password        string
	sentinelUser          string
	sentinelPassword      string
	tls                   *tls.Config // nil: plain
	ca, certificate, keys string      // files, with TLS
}

// parseURL reads where a Redis is:
//
//	redis://user:password@host:6379/0
//	redis-sentinel://user:password@host:26379,host:26379/master?db=0&sentinel_user=&sentinel_password=
//	redis-cluster://user:password@host:6379,host:6379
//
// rediss://, rediss-sentinel:// and rediss-cluster:// are the same over TLS,
// with ?ca=file&cert=file&key=file where the system's authorities do not do or
// the server asks for a certificate. What is not letters and digits in a
// password is written as %XX. No error holds any of the text: a password that
// is written wrongly may stand anywhere in it.
func parseURL(text string) (*target, error) {
	scheme, rest, found := strings.Cut(text, "://")
	if !found {
		return nil, errScheme
	}
	t := &target{}
	secure, err := t.scheme(scheme)
	if err != nil {
		return nil, err
	}
	authority, rest := splitAt(rest, "/?#")
	if strings.ContainsAny(rest, "@#") {
		return nil, errors.New(`redis url: write the characters / ? # @ : and % of a password as %2F %3F %23 %40 %3A and %25`)
	}
	if err := t.authority(authority); err != nil {
		return nil, err
	}
	path, query, _ := strings.Cut(rest, "?")
	if err := t.path(strings.TrimPrefix(path, "/")); err != nil {
		return nil, err
	}
	if err := t.query(query); err != nil {
		return nil, err
	}
	t.where = scheme + "://" + strings.Join(t.addrs, ",")
	if t.master != "" {
		t.where += "/" + t.master
	}
	if t.db != 0 {
		t.where += " database " + strconv.Itoa(t.db)
	}
	return t, t.secure(secure)
}

var errScheme = errors.New("redis url: it begins with redis://, redis-sentinel:// or redis-cluster://, or with rediss for TLS")

// splitAt cuts s before the first of the characters.
func splitAt(s, chars string) (before, after string) {
	if i := strings.IndexAny(s, chars); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

func (t *target) scheme(s string) (secure bool, err error) {
	base, kind, _ := strings.Cut(s, "-")
	switch base {
	case "redis":
	case "rediss":
		secure = true
	default:
		return false, errScheme
	}
	switch {
	case base == s:
	case kind == "sentinel":
		t.master = "?" // the path names it
	case kind == "cluster":
		t.cluster = true
	default:
		return false, errScheme
	}
	return secure, nil
}

// authority reads user:password@host:port,host:port.
func (t *target) authority(s string) error {
	if at := strings.LastIndex(s, "@"); at >= 0 {
		user, password, _ := strings.Cut(s[:at], ":")
		var err, err2 error
		t.user, err = url.PathUnescape(user)
		t.password, err2 = url.PathUnescape(password)
		if err != nil || err2 != nil {
			return errors.New("redis url: the user or the password has a % that is not followed by two hex digits; write it as %25")
		}
		s = s[at+1:]
	}
	standard := "6379"
	if t.master != "" {
		standard = "26379"
	}
	for host := range strings.SplitSeq(s, ",") {
		addr, err := address(host, standard)
		if err != nil {
			return err
		}
		t.addrs = append(t.addrs, addr)
	}
	if len(t.addrs) > 1 && t.master == "" && !t.cluster {
		return errors.New("redis url: several hosts are for redis-sentinel:// and redis-cluster://")
	}
	return nil
}

// address returns host:port of what may lack the port.
func address(s, standard string) (string, error) {
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		host, port = strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), standard
		if strings.Contains(host, ":") && net.ParseIP(host) == nil {
			return "", errors.New("redis url: a host is written as name:port, address:port or [IPv6 address]:port")
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("redis url: the port is a number from 1 to 65535")
	}
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f || strings.ContainsRune(`"%<>[]\^{|}`, r) }) {
		return "", errors.New("redis url: a host has no name, or one that no host has")
	}
	return net.JoinHostPort(host, port), nil
}

// path reads the number of the database, or the name that Sentinel has for the
// master.
func (t *target) path(s string) error {
	switch {
	case t.master != "":
		name, err := url.PathUnescape(s)
		if err != nil || name == "" {
			return errors.New("redis url: after the hosts comes the name that Sentinel has for the master, as in redis-sentinel://host:26379/mymaster")
		}
		t.master = name
		return nil
	case s == "":
		return nil
	}
	return t.database(s)
}

func (t *target) database(s string) error {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return errors.New("redis url: the database is a number, 0 unless told")
	}
	if n != 0 && t.cluster {
		return errors.New("redis url: a cluster has no database but 0")
	}
	t.db = int(n)
	return nil
}

func (t *target) query(s string) error {
	values, err := url.ParseQuery(s)
	if err != nil {
		return errors.New("redis url: what follows the ? is not of the form name=value&name=value")
	}
	for name, all := range values {
		if len(all) != 1 {
			return errors.New("redis url: a setting after the ? is there twice")
		}
		switch value := all[0]; name {
		case "db":
			err = t.database(value)
		case "ca":
			t.ca = value
		case "cert":
			t.certificate = value
		case "key":
			t.keys = value
		case "sentinel_user":
			t.sentinelUser = value
		case "sentinel_password":
			t.sentinelPassword = value
		default:
			err = errors.New("redis url: the settings after the ? are db, ca, cert, key, sentinel_user and sentinel_password")
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// secure prepares TLS.
func (t *target) secure(wanted bool) error {
	if !wanted {
		if t.ca != "" || t.certificate != "" || t.keys != "" {
			return errors.New("redis url: ca, cert and key are for TLS, which rediss:// asks for")
		}
		return nil
	}
	t.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	if t.ca != "" {
		pem, err := os.ReadFile(t.ca)
		if err != nil {
			return fmt.Errorf("redis url: ca: %w", err)
		}
		t.tls.RootCAs = x509.NewCertPool()
		if !t.tls.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("redis url: ca: %s holds no certificate in PEM form", t.ca)
		}
	}
	if t.certificate == "" && t.keys == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(t.certificate, t.keys)
	if err != nil {
		return fmt.Errorf("redis url: cert and key: %w", err)
	}
	t.tls.Certificates = []tls.Certificate{pair}
	return nil
}

// client returns a client with connections of its own, none of them made yet.
// Each new one is shown to met, if there is one.
func (t *target) client(dial dialFunc, size int, met func(context.Context, *goredis.Conn) error) goredis.UniversalClient {
	return goredis.NewUniversalClient(&goredis.UniversalOptions{
		Addrs: t.addrs, IsClusterMode: t.cluster, MasterName: t.master, DB: t.db,
		Username: t.user, Password: t.password,
		SentinelUsername: t.sentinelUser, SentinelPassword: t.sentinelPassword,
		Dialer: dial, OnConnect: met,

		// RESP2 has all that is needed, and no messages that nobody asked for.
		Protocol: 2, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},

		ContextTimeoutEnabled: true,
		DialTimeout:           dialTimeout, DialerRetries: 1,
		ReadTimeout: readTimeout, WriteTimeout: readTimeout,
		MaxRetries: maxRetries, MinRetryBackoff: minRetryBackoff, MaxRetryBackoff: maxRetryBackoff,
		PoolSize: size, MaxActiveConns: size, PoolTimeout: poolTimeout,
		PipelinePoolSize: -1, ConnMaxIdleTime: idleTime,
	})
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialer makes connections, with TLS where it is asked for.
type dialer struct {
	base dialFunc
	tls  *tls.Config
}

func (d *dialer) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := d.base(ctx, network, addr)
	if err != nil || d.tls == nil {
		return conn, err
	}
	cfg := d.tls.Clone()
	if cfg.ServerName, _, err = net.SplitHostPort(addr); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	secured := tls.Client(conn, cfg)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("tls with %s: %w", addr, err), conn.Close())
	}
	return secured, nil
}
