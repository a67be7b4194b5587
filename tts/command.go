package tts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Command is the engine that runs any program: the text on its standard input,
// a WAV file on its standard output.
type Command struct {
	name string
	argv []string
}

var _ Engine = (*Command)(nil)

// NewCommand returns an engine that runs a program with arguments, never a
// shell. In an argument {voice}, {language}, {role} and {speed} stand for those
// of the voice. The program is looked up for every text.
func NewCommand(name string, argv []string) (*Command, error) {
	if len(argv) == 0 || argv[0] == "" {
		return nil, fmt.Errorf("engine %s: no command", name)
	}
	return &Command{name, slices.Clone(argv)}, nil
}

// Name returns the engine's name.
func (c *Command) Name() string { return c.name }

// Variant tells commands apart.
func (c *Command) Variant() string { return strings.Join(c.argv, "\x00") }

// Synthesize runs the program. When ctx is done it is killed with its children.
func (c *Command) Synthesize(ctx context.Context, r Request) ([]int16, int, error) {
	speed := r.Speed
	if speed == 0 {
		speed = 1
	}
	values := strings.NewReplacer("{voice}", r.Voice, "{language}", r.Language, "{role}", r.Role,
		"{speed}", strconv.FormatFloat(speed, 'f', -1, 64))
	argv := slices.Clone(c.argv)
	for i := range argv[1:] {
		argv[i+1] = values.Replace(argv[i+1])
	}
	out, err := run(ctx, argv, r.Text, keep(os.Environ(), "PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR"))
	if missing, ok := errors.AsType[*exec.Error](err); ok {
		return nil, 0, &troubleError{kind: absent, err: c.missing(missing)}
	}
	if err != nil {
		return nil, 0, err
	}
	pcm, rate, err := readSound(out)
	if err != nil && !errors.Is(err, ErrText) {
		err = fmt.Errorf("output of %s: %w", c.argv[0], err)
	}
	return pcm, rate, err
}

// Check reports whether the program is there.
func (c *Command) Check(context.Context, []string) error {
	_, err := exec.LookPath(c.argv[0])
	if missing, ok := errors.AsType[*exec.Error](err); ok {
		return c.missing(missing)
	}
	return err
}

func (c *Command) missing(err *exec.Error) error {
	return fmt.Errorf("%s cannot be started: %w; install it or correct command", c.argv[0], err.Err)
}
