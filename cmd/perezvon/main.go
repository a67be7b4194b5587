// Command perezvon is a virtual PBX bridge: it calls people back, joins them
// with the manager who answers, and keeps what happened. The same program is
// the server and its command line.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/alecthomas/kong"

	"perezvon/configs"
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
		kong.Vars{"version": versionLine()},
	)
	if err != nil {
		return fail(err)
	}
	if len(args) == 0 {
		return bare(parser)
	}
	if args[0] == "help" {
		args = append(args[1:], "--help")
	}
	cmd, err := parser.Parse(args)
	if err != nil {
		return fail(&usageError{err})
	}
	cli.given = make(map[string]bool)
	for _, p := range cmd.Path {
		if p.Flag != nil {
			cli.given[p.Flag.Name] = true
		}
	}
	if cli.given["config"] && cli.Config == "" {
		return fail(&usageError{errors.New("--config needs the name of a file")})
	}
	return failIn(commandOf(cmd.Selected()), cmd.Run(&cli))
}

// bare answers a command line without a command: wrong usage, and the list of
// the commands.
func bare(parser *kong.Kong) int {
	parser.Stdout = os.Stderr
	nothing, err := kong.Trace(parser, nil)
	if err == nil {
		err = nothing.PrintUsage(false)
	}
	if err != nil {
		return fail(err)
	}
	return exitUsage
}

// commandOf is how a command is typed, without the program.
func commandOf(n *kong.Node) string {
	_, words, _ := strings.Cut(n.FullPath(), " ")
	return words
}

// fail tells an error and returns the exit status that it means.
func fail(err error) int { return failIn("", err) }

// failIn is fail for an error of a command.
func failIn(command string, err error) int {
	var (
		usage    *usageError
		parse    *kong.ParseError
		mistakes configs.Errors
	)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errTold):
		return exitFailure
	case errors.As(err, &usage):
		hint := program() + " " + strings.TrimSpace(command+" --help")
		if errors.As(err, &parse) && parse.Context.Command() != "" {
			hint = program() + " " + commandOf(parse.Context.Selected()) + " --help"
		}
		fmt.Fprintf(os.Stderr, "perezvon: %s\nTry: %s\n", printable(err.Error()), hint)
		return exitUsage
	case errors.As(err, &mistakes): // each begins with its place, as editors know it
		fmt.Fprintln(os.Stderr, printable(mistakes.Error()))
		return exitFailure
	default:
		fmt.Fprintln(os.Stderr, "perezvon: "+printable(err.Error()))
		return exitFailure
	}
}
