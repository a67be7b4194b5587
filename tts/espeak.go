package tts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"perezvon/media/wav"
)

// espeakProgram is what is looked for when the configuration names no path.
const espeakProgram = "espeak-ng"

// espeakGrace is how long a killed synthesis may hold on to its pipes.
const espeakGrace = 2 * time.Second

// ESpeak is the engine that runs espeak-ng, one process per text. Its voices
// are those of `espeak-ng --voices`, with a variant if wanted: "ru+f3".
type ESpeak struct {
	name, path string
}

var _ Engine = (*ESpeak)(nil)

// NewESpeak returns the engine of the given name. The path is that of the
// program; empty: espeak-ng from PATH. It is looked up for every text, so
// that installing it needs no restart.
func NewESpeak(name, path string) *ESpeak {
	if path == "" {
		path = espeakProgram
	}
	return &ESpeak{name: name, path: path}
}

// Name returns the engine's name.
func (e *ESpeak) Name() string { return e.name }

// Synthesize runs the program with the text on its standard input. When ctx
// is done the process and its children are killed.
func (e *ESpeak) Synthesize(ctx context.Context, r Request) ([]int16, int, error) {
	// Double brackets would be read as phoneme codes.
	text := strings.ReplaceAll(r.Text, "[[", " ")
	voice := r.Voice
	if voice == "" {
		voice = r.Language
	}
	out, err := e.run(ctx, text, "-v", voice, "-b", "1", "--stdin", "--stdout")
	if err != nil {
		return nil, 0, err
	}
	sound, err := wav.Read(bytes.NewReader(out), wav.Limits{MaxDuration: MaxDuration})
	switch {
	case errors.Is(err, wav.ErrTooLarge):
		return nil, 0, tooLong()
	case err != nil:
		return nil, 0, fmt.Errorf("output of %s: %w", e.path, err)
	}
	return sound.Mono(), sound.Rate, nil
}

// Check reports whether the program is there and has the voices.
func (e *ESpeak) Check(ctx context.Context, voices []string) error {
	var errs []error
	for _, voice := range voices {
		_, err := e.run(ctx, "", "-v", voice, "-q", "--stdin")
		if missing, ok := errors.AsType[*missingError](err); ok {
			return missing
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("voice %q: %w", voice, err))
		}
	}
	return errors.Join(errs...)
}

// run starts the program and returns what it prints, bounded.
func (e *ESpeak) run(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	program, err := exec.LookPath(e.path)
	if err != nil {
		return nil, &missingError{program: e.path, searched: os.Getenv("PATH"), err: err}
	}
	stdout := &boundedBuffer{limit: wav.DefaultMaxBytes}
	stderr := &boundedBuffer{limit: 4096, dropRest: true}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Env = espeakEnv(os.Environ())
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = espeakGrace
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("run %s: %w", e.path, context.Cause(ctx))
	case stdout.full:
		return nil, tooLong()
	case err != nil:
		return nil, fmt.Errorf("run %s: %w%s", e.path, err, complaint(stderr.buf.Bytes()))
	}
	return stdout.buf.Bytes(), nil
}

// complaint is what the program wrote to its standard error, on one line.
func complaint(stderr []byte) string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(string(stderr), "")), " ")
	if text == "" {
		return ""
	}
	return ": " + text
}

// espeakEnv keeps of the environment what the program needs; the rest may
// hold secrets.
func espeakEnv(environ []string) []string {
	var kept []string
	for _, v := range environ {
		switch name, _, _ := strings.Cut(v, "="); name {
		case "PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "ESPEAK_DATA_PATH", "TMPDIR":
			kept = append(kept, v)
		}
	}
	return kept
}

// missingError says that the program cannot be started, and what to do.
type missingError struct {
	program, searched string
	err               error
}

func (e *missingError) Error() string {
	if errors.Is(e.err, exec.ErrNotFound) && !strings.Contains(e.program, "/") {
		return fmt.Sprintf("%s was not found in PATH (%s); install it: apt-get install espeak-ng", e.program, e.searched)
	}
	return fmt.Sprintf("%s cannot be started: %v; correct its path or install it: apt-get install espeak-ng", e.program, e.err)
}

func (e *missingError) Unwrap() error { return e.err }

// errBufferFull ends a copy from the program, which then finds its pipe
// closed.
var errBufferFull = errors.New("too much output")

// boundedBuffer keeps up to limit bytes; what is more is an error or, with
// dropRest, lost. The buffer is a field because its ReadFrom would know no
// limit.
type boundedBuffer struct {
	buf      bytes.Buffer
	limit    int
	dropRest bool
	full     bool
}

func (b *boundedBuffer) Write(p []byte) (int, error) {
	room := b.limit - b.buf.Len()
	if len(p) <= room {
		return b.buf.Write(p)
	}
	b.full = true
	if b.dropRest {
		b.buf.Write(p[:room])
		return len(p), nil
	}
	return 0, errBufferFull
}
