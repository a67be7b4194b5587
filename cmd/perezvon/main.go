// Command perezvon is a virtual PBX bridge: it calls people back, joins them
// with the manager who answers, and keeps what happened. The same program is
// the server and its command line.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/alecthomas/kong"
)

// Exit statuses.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() { os.Exit(run(os.Args[1:])) }

// run carries out one command and returns the exit status.
func run(args []string) int {
	var cli CLI
	parser, err := kong.New(&cli,
		kong.Name("perezvon"),
		kong.Description("Calls people back: rings a manager, then the customer, and joins them."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		return fail(err)
	}
	cmd, err := parser.Parse(args)
	if err != nil {
		return fail(&usageError{err})
	}
	return fail(cmd.Run(&cli))
}

// fail tells an error and returns the exit status that it means.
func fail(err error) int {
	var (
		usage *usageError
		parse *kong.ParseError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errTold):
		return exitFailure
	case errors.As(err, &usage):
		hint := "perezvon --help"
		if errors.As(err, &parse) && parse.Context.Command() != "" {
			hint = "perezvon " + parse.Context.Selected().Name + " --help"
		}
		fmt.Fprintf(os.Stderr, "perezvon: %s\nTry: %s\n", printable(err.Error()), hint)
		return exitUsage
	default:
		fmt.Fprintln(os.Stderr, "perezvon: "+printable(err.Error()))
		return exitFailure
	}
}
