package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"perezvon/internal/api"
	"perezvon/internal/client"
)

// InfocallCmd places an informational call and follows it.
type InfocallCmd struct {
	remote
	Line   string `required:"" placeholder:"ID" help:"Line the call goes through."`
	Number string `required:"" placeholder:"NUMBER" help:"Whom to call."`
	Text   string `xor:"message" placeholder:"TEXT" help:"What whoever answers is told; this or --sound is needed."`
	Sound  string `xor:"message" placeholder:"FILE" help:"What is played instead of a text: a WAV or MP3 file here, which is uploaded, a URL, or the name of a sound that the server has."`
	Voice  string `placeholder:"ID" help:"Voice of the text."`
	Gather int    `placeholder:"N" help:"How many keys are waited for, up to 32."`

	AnsweringMachine string `placeholder:"WHAT" help:"What is done where a machine answers: play, hang_up or after_beep."`

	Repeat int `placeholder:"N" help:"How many times it is said, 1 to 10; without it once."`
}

// Validate asks for what is to be played.
func (cmd *InfocallCmd) Validate() error {
	if cmd.Text == "" && cmd.Sound == "" {
		return errors.New("there is nothing to play: give --text=TEXT or --sound=FILE")
	}
	return nil
}

// Run succeeds only if enough of the message was heard.
func (cmd *InfocallCmd) Run(c *CLI) error {
	server, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer server.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next Ctrl-C is not caught

	sound, err := cmd.sound(ctx, server)
	if err != nil {
		return err
	}
	call, err := server.Infocall(ctx, api.InfocallBody{
		Line: cmd.Line, Number: cmd.Number, Text: cmd.Text, Sound: sound, Voice: cmd.Voice, Repeat: cmd.Repeat, Gather: cmd.Gather,
		AnsweringMachine: cmd.AnsweringMachine,
	})
	if ctx.Err() != nil {
		return errors.New("interrupted before the server answered; whether the call is placed is told by: " + program() + " calls")
	}
	if err != nil {
		return err
	}
	f := &follower{client: server, out: newConsole(os.Stdout), quiet: c.JSON, call: call, leave: "Ctrl-C leaves; the call goes on."}
	f.tell("Call %s is placed (line %s, number %s).", call.ID, call.Line, call.Number)
	return f.toTheEnd(ctx, c.JSON)
}

// sound uploads what is a file here, and returns what the server knows the sound
// by.
func (cmd *InfocallCmd) sound(ctx context.Context, server *client.Client) (string, error) {
	if cmd.Sound == "" || strings.Contains(cmd.Sound, "://") {
		return cmd.Sound, nil
	}
	data, err := os.ReadFile(cmd.Sound)
	switch {
	case errors.Is(err, fs.ErrNotExist) && filepath.Base(cmd.Sound) == cmd.Sound:
		return cmd.Sound, nil
	case err != nil:
		return "", fmt.Errorf("--sound: %w", err)
	}
	kept, err := server.UploadSound(ctx, filepath.Base(cmd.Sound), data)
	return kept.Name, err
}
