package tts

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"perezvon/media/wav"
)

// processGrace is how long a killed program may hold on to its pipes.
const processGrace = 2 * time.Second

// maxSound is the largest sound that is taken of an engine, in bytes: more than
// MaxDuration at 48 kHz, mono, 16 bit.
const maxSound = 32 << 20

// run starts a program with an input and returns what it prints, bounded. When
// ctx is done the program and its children are killed. An *exec.Error says that
// it cannot be started; its name is looked up each time.
func run(ctx context.Context, argv []string, stdin string, env []string) ([]byte, error) {
	program, err := exec.LookPath(argv[0])
	if err != nil {
		return nil, err
	}
	stdout := &boundedBuffer{limit: maxSound}
	stderr := &boundedBuffer{limit: 4096, dropRest: true}
	cmd := exec.CommandContext(ctx, program, argv[1:]...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Env = env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = processGrace
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("run %s: %w", argv[0], context.Cause(ctx))
	case stdout.full:
		return nil, tooMuch()
	case err != nil:
		return nil, fmt.Errorf("run %s: %w%s", argv[0], err, complaint(stderr.buf.Bytes()))
	}
	return stdout.buf.Bytes(), nil
}

func tooMuch() error { return fmt.Errorf("it gave more than %d MiB", maxSound>>20) }

// complaint is what a program wrote to its standard error, on one line.
func complaint(stderr []byte) string {
	text := printable(string(stderr))
	if text == "" {
		return ""
	}
	return ": " + text
}

// keep returns the named variables of an environment.
func keep(environ []string, names ...string) []string {
	var kept []string
	for _, v := range environ {
		if name, _, _ := strings.Cut(v, "="); slices.Contains(names, name) {
			kept = append(kept, v)
		}
	}
	return kept
}

// readSound decodes a WAV file of an engine: mono samples and their rate in Hz.
// The error wraps ErrText when it is too long.
func readSound(file []byte) ([]int16, int, error) {
	sound, err := wav.Read(bytes.NewReader(file), wav.Limits{MaxDuration: MaxDuration})
	switch {
	case errors.Is(err, wav.ErrTooLarge):
		return nil, 0, tooLong()
	case err != nil:
		return nil, 0, err
	case sound.CutOff:
		return nil, 0, errors.New("the WAV file ends too early")
	}
	return sound.Mono(), sound.Rate, nil
}

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
