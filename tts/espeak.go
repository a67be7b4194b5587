package tts

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// espeakProgram is what is looked for when the configuration names no path.
const espeakProgram = "espeak-ng"

// espeakWords is the program's own speed, in words a minute.
const espeakWords = 175

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
	voice, text := r.Voice, r.Text
	if voice == "" {
		voice = r.Language
	}
	args := []string{"-v", voice, "-b", "1", "--stdin", "--stdout"}
	if r.Markup != "" {
		text, args = r.Markup, append(args, "-m")
	}
	if r.Speed != 0 {
		args = append(args, "-s", strconv.Itoa(int(r.Speed*espeakWords)))
	}
	// Double brackets would be read as phoneme codes.
	out, err := e.run(ctx, strings.ReplaceAll(text, "[[", " "), args...)
	if err != nil {
		return nil, 0, err
	}
	pcm, rate, err := readSound(out)
	if err != nil && !errors.Is(err, ErrText) {
		err = fmt.Errorf("output of %s: %w", e.path, err)
	}
	return pcm, rate, err
}

// Elements are those of SSML that the program takes.
func (e *ESpeak) Elements() []string {
	return []string{"break", "p", "s", "sub", "emphasis", "prosody", "say-as"}
}

func (e *ESpeak) run(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	out, err := run(ctx, append([]string{e.path}, args...), stdin, espeakEnv(os.Environ()))
	if missing, ok := errors.AsType[*exec.Error](err); ok {
		return nil, &troubleError{kind: absent, err: &missingError{program: e.path, searched: os.Getenv("PATH"), err: missing.Err}}
	}
	return out, err
}

// Check reports whether the program is there and has the voices.
func (e *ESpeak) Check(ctx context.Context, voices []string) error {
	known, err := e.known(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, voice := range voices {
		if language, manner, varied := strings.Cut(voice, "+"); known[language] && (!varied || known["!v/"+manner]) {
			continue
		}
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

// known are the names that the program lists: what is not among them may be
// there all the same, such as a language by its former name.
func (e *ESpeak) known(ctx context.Context) (map[string]bool, error) {
	names := make(map[string]bool)
	for _, list := range []string{"--voices", "--voices=variant"} {
		out, err := e.run(ctx, "", list)
		if missing, ok := errors.AsType[*missingError](err); ok {
			return nil, missing
		}
		for word := range strings.FieldsSeq(string(out)) {
			names[word] = err == nil
		}
	}
	return names, ctx.Err()
}

// espeakEnv keeps of the environment what the program needs; the rest may
// hold secrets.
func espeakEnv(environ []string) []string {
	return keep(environ, "PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "ESPEAK_DATA_PATH", "TMPDIR")
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
