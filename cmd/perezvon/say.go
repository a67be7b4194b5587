package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"

	"perezvon/configs"
	"perezvon/media/g711"
	"perezvon/media/wav"
	"perezvon/tts"
)

// SayCmd renders speech.
type SayCmd struct {
	Server string `env:"PEREZVON_SERVER" placeholder:"URL" help:"A running server that is to speak; without it the engines of the configuration do, and no server is asked."`
	Key    string `env:"PEREZVON_KEY" placeholder:"KEY" help:"Key of the server's API; not needed where it has none."`

	Text   string `arg:"" help:"What is to be said."`
	Voice  string `placeholder:"ID" help:"Voice of the text; without it the default one."`
	Output string `short:"o" required:"" placeholder:"FILE" help:"The WAV file to write; - is standard output."`
}

// said is what say --json prints.
type said struct {
	File       string `json:"file"`
	DurationMS int64  `json:"duration_ms"`
	Bytes      int    `json:"bytes"`
}

// Run renders the text with the engines of the configuration, or asks the
// server that is named, and writes what phones would play.
func (cmd *SayCmd) Run(c *CLI) error {
	if err := cmd.checkOutput(c); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	render := cmd.local
	if cmd.Server != "" {
		render = cmd.asked
	}
	file, err := render(ctx, c)
	if err != nil {
		return err
	}
	if cmd.Output == "-" {
		_, err := os.Stdout.Write(file)
		return err
	}
	length, err := lengthOf(file)
	if err != nil {
		return err
	}
	if err := writeFile(cmd.Output, file); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(said{cmd.Output, length, len(file)})
	}
	newConsole(os.Stdout).line(plain, "%s: %s of speech", cmd.Output, seconds(length))
	return nil
}

func (cmd *SayCmd) checkOutput(c *CLI) error {
	switch {
	case cmd.Output == "":
		return &usageError{errors.New("--output needs the name of a file")}
	case cmd.Output != "-":
		return nil
	case c.JSON:
		return &usageError{errors.New("--json cannot be printed where the sound goes; write the sound to a file")}
	case term.IsTerminal(int(os.Stdout.Fd())):
		return &usageError{errors.New("a terminal cannot play sound; write it to a file with -o FILE, or pipe it to a player")}
	}
	return nil
}

// local renders in this process. It uses no folder of the server's, which may
// run as somebody else.
func (cmd *SayCmd) local(ctx context.Context, c *CLI) ([]byte, error) {
	cfg, err := speechConfig(c.Config)
	if err != nil {
		return nil, err
	}
	speech, err := newSpeech(cfg, "", slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, fmt.Errorf("tts: %w", err)
	}
	defer func() { _ = speech.Close() }() // nothing is rendered any more
	clip, err := speech.Render(ctx, cmd.Text, cmd.Voice)
	if err != nil {
		return nil, err
	}
	tellStandIn(os.Stderr, speech.Engines())
	return clipFile(clip), nil
}

// tellStandIn tells that another voice than the one asked for has spoken. Who
// speaks once only had an engine fail before: the next voice stood in for it.
func tellStandIn(w io.Writer, engines []tts.EngineState) {
	for _, e := range engines {
		if e.LastError != "" {
			_, _ = fmt.Fprintln(w, printable("another voice stands in, for the speech engine "+e.Name+" has failed: "+e.LastError))
		}
	}
}

// asked has the server render.
func (cmd *SayCmd) asked(ctx context.Context, c *CLI) ([]byte, error) {
	server, err := (&remote{cmd.Server, cmd.Key}).client(c)
	if err != nil {
		return nil, err
	}
	defer server.Close()
	return server.Speech(ctx, cmd.Text, cmd.Voice)
}

// speechConfig is the configuration with the secrets that this user may see.
func speechConfig(path string) (*configs.Config, error) {
	if path == "" {
		path = defaultConfig
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return configs.Default(), nil
		}
	}
	return configs.LoadWithSomeSecrets(path)
}

// clipFile is what phones play, as a file that every player knows.
func clipFile(clip *g711.Clip) []byte {
	encoded := clip.Bytes(g711.ALaw)
	pcm := make([]int16, len(encoded))
	for i, b := range encoded {
		pcm[i] = g711.DecodeA(b)
	}
	return wav.Mono(pcm, g711.SampleRate)
}

// writeFile writes a file as others may read it.
func writeFile(path string, data []byte) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// lengthOf is how long a file plays, in milliseconds.
func lengthOf(file []byte) (int64, error) {
	sound, err := wav.Read(bytes.NewReader(file), wav.Limits{})
	if err != nil {
		return 0, err
	}
	return sound.Duration().Milliseconds(), nil
}
