package e2e

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/certtest"
	"perezvon/internal/client"
	"perezvon/internal/store"
)

// setup is what a test wants of its server's configuration.
type setup struct {
	trunk     string // host of the trunk: where the customers are
	trunkMore string // more keys of the trunk: ", username: a"
	backup    string // host of a second trunk of the line; empty: there is none
	// More keys of that trunk; empty: options: off.
	backupMore string
	others     []string // hosts of further trunks, each with a line and an extension of its own: see other
	manager    string   // host:port of extension 101
	phoneMore  string   // more keys of extension 101: ", srtp: mandatory"
	codecs     string   // default "PCMA, PCMU"
	callback   string   // more keys of callback: ", ring: 2s"
	// More entries of the lists, as YAML.
	extensions, lines string
	ports             int          // media ports, default 60
	tcp               bool         // SIP listens on TCP, too
	tls               *certtest.CA // SIP listens on TLS, too, with a certificate of this authority
	data              string       // data_dir, default a new folder
	store             string       // default what PEREZVON_TEST_STORE says
	drain             string       // default 30s
	more              string       // more lines of YAML
	env               []string     // in addition to the test's own
}

const (
	line        = "main"
	lineNumber  = "+74950000000"
	managerPort = "101"
)

// server is a running perezvon serve, and what is needed to start it again.
type server struct {
	*process
	t      *testing.T
	dir    string // its configuration is here
	config string
	data   string
	env    []string
	http   int
	sip    int
	tls    int // 0: SIP does not listen on TLS
	media  int

	through []string // a command that starts the server, which is added to it; empty: it is started as it is
	*client.Client
}

// newServer writes the configuration of a server that is not started yet.
func newServer(t *testing.T, s setup) *server {
	t.Helper()
	need(t, "espeak-ng")
	dir := t.TempDir()
	if s.data == "" {
		s.data = filepath.Join(dir, "data")
	}
	if s.codecs == "" {
		s.codecs = "PCMA, PCMU"
	}
	if s.ports == 0 {
		s.ports = 60
	}
	if s.drain == "" {
		s.drain = "30s"
	}
	srv := &server{
		t: t, dir: dir, config: filepath.Join(dir, "perezvon.yaml"), data: s.data, env: append(os.Environ(), s.env...),
		http: freePort(t), sip: freePort(t), media: freePorts(t, s.ports),
	}
	srv.write(srv.listening(s) + srv.lists(s))
	return srv
}

// listening is where a server listens, and where it keeps things.
func (s *server) listening(want setup) string {
	s.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "data_dir: %s\nstore: %q\nregion: RU\nlanguage: ru\ndrain: %s\n", want.data, cmp.Or(want.store, testStore(s.t)), want.drain)
	fmt.Fprintf(&b, "http: {listen: \"127.0.0.1:%d\"}\n", s.http)
	listen := fmt.Sprintf("\"udp://127.0.0.1:%d\"", s.sip)
	if want.tcp {
		listen += fmt.Sprintf(", \"tcp://127.0.0.1:%d\"", s.sip)
	}
	secured := ""
	if want.tls != nil {
		s.tls = freePort(s.t)
		listen += fmt.Sprintf(", \"tls://127.0.0.1:%d\"", s.tls)
		cert, key := want.tls.Issue("localhost", "127.0.0.1").Write(s.dir)
		secured = fmt.Sprintf(", tls: {cert: %q, key: %q}", cert, key)
	}
	fmt.Fprintf(&b, "sip: {listen: [%s]%s}\n", listen, secured)
	fmt.Fprintf(&b, "media: {ports: %d-%d, codecs: [%s]}\n", s.media, s.media+want.ports-1, want.codecs)
	return b.String()
}

// lists are the trunks, phones and lines of a server, and what else a test wants.
func (s *server) lists(want setup) string {
	var b strings.Builder
	quiet := ", options: \"off\"" // SIPp takes every request for its scenario's
	if strings.Contains(want.trunkMore, "options:") {
		quiet = ""
	}
	fmt.Fprintf(&b, "trunks:\n  - {name: carrier, host: %q%s%s}\n", want.trunk, want.trunkMore, quiet)
	trunks := "carrier"
	if want.backup != "" {
		fmt.Fprintf(&b, "  - {name: backup, host: %q%s}\n", want.backup, cmp.Or(want.backupMore, ", options: \"off\""))
		trunks += ", backup"
	}
	for i, host := range want.others {
		fmt.Fprintf(&b, "  - {name: other-%d, host: %q, options: \"off\"}\n", i, host)
	}
	fmt.Fprintf(&b, "extensions:\n  - {number: %q, name: Anna, contact: \"sip:%s@%s\"%s}\n", managerPort, managerPort, want.manager, want.phoneMore)
	for i := range want.others {
		_, ext := other(i)
		fmt.Fprintf(&b, "  - {number: %q, contact: \"sip:%s@%s\"}\n", ext, ext, want.manager)
	}
	b.WriteString(want.extensions)
	fmt.Fprintf(&b, "lines:\n  - id: %s\n    name: Main office\n    number: %q\n    trunks: [%s]\n    record: true\n", line, lineNumber, trunks)
	fmt.Fprintf(&b, "    route:\n      - extension: {number: %q}\n", managerPort)
	for i := range want.others {
		id, ext := other(i)
		fmt.Fprintf(&b, "  - {id: %s, number: \"+7495000%04d\", trunks: [other-%d], route: [{extension: {number: %q}}]}\n", id, 1000+i, i, ext)
	}
	b.WriteString(want.lines)
	if !strings.Contains(want.callback, "attempts:") {
		want.callback += ", attempts: 1"
	}
	fmt.Fprintf(&b, "callback: {%s}\n%s", strings.TrimPrefix(want.callback, ", "), want.more)
	return b.String()
}

// other names the line and the extension that the i-th of setup.others has.
func other(i int) (line, extension string) {
	return fmt.Sprintf("line-%d", i), fmt.Sprint(1000 + i)
}

func (s *server) write(config string) {
	s.t.Helper()
	if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// serve starts a server and waits until it takes calls.
func serve(t *testing.T, s setup) *server {
	t.Helper()
	srv := newServer(t, s)
	srv.start()
	return srv
}

// launch starts the server without waiting for anything.
func (s *server) launch() {
	s.t.Helper()
	command := append(slices.Clone(s.through), program, "--config", s.config, "serve", "--log-level", "debug")
	s.process = launch(s.t, "perezvon serve", s.dir, s.env, command[0], command[1:]...)
}

// start starts the server, also again after its end, and waits until it is
// ready.
func (s *server) start() {
	s.t.Helper()
	s.launch()
	eventually(s.t, 15*time.Second, "GET /readyz answers 200", func() bool {
		if !s.running() {
			s.t.Fatalf("perezvon serve ended with status %d", s.cmd.ProcessState.ExitCode())
		}
		res, err := http.Get(s.url("/readyz"))
		if err != nil {
			return false
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	var err error
	if s.Client, err = client.New(s.url(""), ""); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(s.Client.Close)
}

func (s *server) url(path string) string { return fmt.Sprintf("http://127.0.0.1:%d%s", s.http, path) }

// contactAddr is where a trunk of a transport finds the server.
func (s *server) contactAddr(transport string) string {
	if transport == "tls" && s.tls > 0 {
		return fmt.Sprintf("127.0.0.1:%d", s.tls)
	}
	return s.sipAddr()
}

func (s *server) sipAddr() string { return fmt.Sprintf("127.0.0.1:%d", s.sip) }

// stop asks the server to end and expects that it does so in order.
func (s *server) stop() {
	s.t.Helper()
	s.signal(syscall.SIGTERM)
	if status := s.exit(45 * time.Second); status != 0 {
		s.t.Errorf("perezvon serve ended with status %d after SIGTERM, want 0", status)
	}
}

// place asks for a callback.
func (s *server) place(body api.CallbackBody) api.Call {
	s.t.Helper()
	if body.Line == "" {
		body.Line = line
	}
	c, err := s.Callback(within(s.t, 10*time.Second), body)
	if err != nil {
		s.t.Fatalf("place a callback to %s: %v", body.Number, err)
	}
	return c
}

// call reads a call.
func (s *server) call(id string) api.Call {
	s.t.Helper()
	c, err := s.Call(within(s.t, 10*time.Second), id)
	if err != nil {
		s.t.Fatalf("read call %s: %v", id, err)
	}
	return c
}

// until waits for a state of a call.
func (s *server) until(id string, state store.State, limit time.Duration) api.Call {
	s.t.Helper()
	var c api.Call
	eventually(s.t, limit, fmt.Sprintf("call %s is %s", id, state), func() bool {
		c = s.call(id)
		if c.State == string(store.StateEnded) && state != store.StateEnded {
			s.t.Fatalf("the call ended with %s (%s), it was to be %s", value(c.Result), value(c.Reason), state)
		}
		return c.State == string(state)
	})
	return c
}

// ended waits for the end of a call and checks what must be true of every
// call that is over.
func (s *server) ended(id string, limit time.Duration) api.Call {
	s.t.Helper()
	c := s.until(id, store.StateEnded, limit)
	ends := 0
	for _, e := range s.events(id) {
		if e.Type == store.EventCallEnded {
			ends++
		}
	}
	if ends != 1 {
		s.t.Errorf("call %s has %d call.ended events, want 1", id, ends)
	}
	for _, l := range c.Legs {
		if l.State != string(store.LegEnded) || l.EndedAt == nil {
			s.t.Errorf("call %s is over, its %s's leg is %s", id, l.Role, l.State)
		}
	}
	return c
}

// events are all of a call's.
func (s *server) events(id string) []api.Event {
	s.t.Helper()
	var all []api.Event
	after := ""
	for {
		page, err := s.Events(within(s.t, 10*time.Second), id, after)
		if err != nil {
			s.t.Fatalf("read the events of call %s: %v", id, err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
		after = page[len(page)-1].ID
	}
}

// clean waits until nothing is left of any call: no leg, no port.
func (s *server) clean() {
	s.t.Helper()
	var st api.Status
	eventually(s.t, 20*time.Second, "no call is open and no media port is in use", func() bool {
		var err error
		if st, err = s.Status(within(s.t, 10*time.Second)); err != nil {
			s.t.Fatalf("read the status: %v", err)
		}
		return len(st.Open) == 0 && st.Ports.InUse == 0
	})
}

// get reads a path of the server.
func (s *server) get(path string) string {
	s.t.Helper()
	res, err := http.Get(s.url(path))
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(body)
}

// value is what a pointer points to, or nothing.
func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// wantResult checks how a call ended.
func wantResult(t *testing.T, c api.Call, result store.Result, code string) {
	t.Helper()
	if value(c.Result) != string(result) || value(c.Code) != code {
		t.Errorf("the call ended with %s, code %s (%s); want %s, code %s",
			value(c.Result), value(c.Code), value(c.Reason), result, code)
	}
}
