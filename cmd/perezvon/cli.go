package main

import (
	"errors"
	"fmt"

	"perezvon/internal/client"
)

// CLI is the command line.
type CLI struct {
	Config string `placeholder:"FILE" help:"Configuration file; without it perezvon.yaml, else built-in defaults."`
	JSON   bool   `name:"json" help:"Print JSON."`

	Serve      ServeCmd      `cmd:"" help:"Run the server; SIGTERM lets calls finish first."`
	Demo       DemoCmd       `cmd:"" help:"Show a whole callback on this machine, with nothing to sign up for."`
	Check      CheckCmd      `cmd:"" help:"Validate the configuration."`
	Callback   CallbackCmd   `cmd:"" help:"Place a callback and follow it until it ends."`
	Calls      CallsCmd      `cmd:"" help:"List calls, newest first."`
	Call       CallCmd       `cmd:"" help:"Show a call and its timeline."`
	Hangup     HangupCmd     `cmd:"" help:"Cancel or hang up a call."`
	Lines      LinesCmd      `cmd:"" help:"List the lines."`
	Extensions ExtensionsCmd `cmd:"" help:"List the extensions."`
	Voices     VoicesCmd     `cmd:"" help:"List the voices that texts can be spoken in."`
	Status     StatusCmd     `cmd:"" help:"Show how the server is."`
	Version    VersionCmd    `cmd:"" help:"Print the version."`
}

// remote is embedded in commands that talk to a running server.
type remote struct {
	Server string `env:"PEREZVON_SERVER" default:"http://127.0.0.1:8080" placeholder:"URL" help:"The running server (${default})."`
	Key    string `env:"PEREZVON_KEY" placeholder:"KEY" help:"Key of the API; not needed where the server has none."`
}

// client returns a client of the server that is asked for. A wrong address is
// wrong usage.
func (r *remote) client() (*client.Client, error) {
	c, err := client.New(r.Server, r.Key)
	if err != nil {
		return nil, &usageError{err}
	}
	return c, nil
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
