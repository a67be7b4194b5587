package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"

	"github.com/alecthomas/kong"

	"perezvon/configs"
	"perezvon/internal/client"
)

// CLI is the command line.
type CLI struct {
	Config string `placeholder:"FILE" help:"Configuration file; without it perezvon.yaml, else built-in defaults."`
	JSON   bool   `name:"json" help:"Print JSON."`

	ShowVersion kong.VersionFlag `name:"version" help:"Print the version."`

	given map[string]bool // flags that stand on the command line

	Serve      ServeCmd      `cmd:"" help:"Run the server; SIGTERM lets calls finish first."`
	Demo       DemoCmd       `cmd:"" help:"Show a whole callback and an informational call on this machine, with nothing to sign up for."`
	Selftest   SelftestCmd   `cmd:"" help:"Play every branch of the call flows on this machine and compare."`
	Check      CheckCmd      `cmd:"" help:"Validate the configuration."`
	Callback   CallbackCmd   `cmd:"" help:"Place a callback and follow it until it ends."`
	Infocall   InfocallCmd   `cmd:"" help:"Call a number, tell whoever answers a text, and follow the call until it ends."`
	Dial       DialCmd       `cmd:"" help:"Call a number for an extension, whose phone rings first, and follow the call until it ends."`
	Calls      CallsCmd      `cmd:"" help:"List calls, newest first; -f follows them."`
	Call       CallCmd       `cmd:"" help:"Show a call; --explain tells it as a story."`
	Hangup     HangupCmd     `cmd:"" help:"Cancel or hang up a call."`
	Trunks     TrunksCmd     `cmd:"" help:"List the trunks and how they are."`
	Trunk      TrunkCmd      `cmd:"" help:"Try one trunk: trunk test NAME."`
	Lines      LinesCmd      `cmd:"" help:"List the lines."`
	Extensions ExtensionsCmd `cmd:"" help:"List the extensions."`
	Reload     ReloadCmd     `cmd:"" help:"Have the running server apply its configuration file, as SIGHUP does."`
	Store      StoreCmd      `cmd:"" help:"Look after the store: back it up, restore it, copy it into another, remove what has been kept for long enough."`
	Blocked    BlockedCmd    `cmd:"" help:"List the numbers that informational calls are not placed to any more; blocked rm NUMBER lets one be called again."`
	Bans       BansCmd       `cmd:"" help:"List who is banned from SIP; bans rm ADDRESS lifts a ban."`
	Voices     VoicesCmd     `cmd:"" help:"List the voices that texts can be spoken in."`
	Say        SayCmd        `cmd:"" help:"Render a text as speech into a WAV file."`
	Status     StatusCmd     `cmd:"" help:"Show how the server is."`
	Version    VersionCmd    `cmd:"" help:"Print the version."`
}

// remote is embedded in commands that talk to a running server.
type remote struct {
	Server string `env:"PEREZVON_SERVER" placeholder:"URL" help:"The running server; without it http.listen of the configuration, else http://127.0.0.1:8080."`
	Key    string `env:"PEREZVON_KEY" placeholder:"KEY" help:"Key of the API; not needed where the server has none."`
}

// client returns a client of the server that is asked for. A wrong address is
// wrong usage.
func (r *remote) client(c *CLI) (*client.Client, error) {
	configured, note, err := c.server()
	if err != nil {
		return nil, err
	}
	if note != "" && r.Server == "" {
		fmt.Fprintln(os.Stderr, note)
	}
	server, err := client.New(cmp.Or(r.Server, configured), r.Key)
	if err != nil {
		return nil, &usageError{err}
	}
	source := "PEREZVON_KEY"
	if c.given["key"] {
		source = "--key"
	}
	server.KeyFrom(source)
	server.StartedWith(program() + " serve")
	return server, nil
}

// server is where the server of the configuration is asked. A file with mistakes
// is asked for that alone. One that is named must say it; perezvon.yaml in this
// folder may be anything, and the note tells what is done instead.
func (c *CLI) server() (address, note string, err error) {
	path := cmp.Or(c.Config, defaultConfig)
	cfg, err := configs.LoadWithoutSecrets(path)
	if err == nil {
		return serverAt(cfg.HTTP.Listen), "", nil
	}
	if at, ok := configs.Address(path); ok {
		return serverAt(at), "", nil
	}
	if c.Config != "" {
		return "", "", err
	}
	address = serverAt(configs.Default().HTTP.Listen)
	if !errors.Is(err, fs.ErrNotExist) {
		note = fmt.Sprintf("%s cannot be read or has mistakes, and does not say where the server is; trying %s instead (see: %s check)", path, address, program())
	}
	return address, note, nil
}

// serverAt is the address of a server on this machine that listens there.
func serverAt(at netip.AddrPort) string {
	if at.Addr().IsUnspecified() {
		at = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), at.Port())
	}
	return "http://" + at.String()
}

// usageError is wrong usage of the command line: exit status 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// errTold is a failure that was told already: exit status 1 and no more
// words.
var errTold = errors.New("told already")

// checkID refuses early what cannot name a call.
func checkID(id string) error {
	if _, err := client.CleanID(id); err != nil {
		return &usageError{fmt.Errorf("%q: %w", id, err)}
	}
	return nil
}

// program is the name that this program was started with, for hints that can
// be pasted.
func program() string { return cmp.Or(os.Args[0], "perezvon") }
