package configs

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// announcement checks that there is one thing to be heard.
func (c *checker) announcement(path string, a *AnnounceStep) {
	switch {
	case a.Text == "" && a.Sound == "" && !c.failedBelow(path):
		c.fail(path, "nothing to be heard: give a text, or the sound of a WAV file")
	case a.Text != "" && a.Sound != "":
		c.fail(path, "text and sound in one step: make each a step of its own")
	case a.Sound != "" && a.Voice != "":
		c.fail(path+".voice", "a voice is for a text; the sound of a file has its own")
	default:
		c.speech(path, a.Text, a.Voice)
	}
	c.sound(path+".sound", a.Sound)
}

// sound checks that a sound file can be played.
func (c *checker) sound(path, file string) {
	if file == "" || !c.ok(path) || c.src.Sound == nil {
		return
	}
	err := c.src.Sound(file)
	_, unread := errors.AsType[*fs.PathError](err)
	switch {
	case err == nil:
	case unread:
		c.unreadable(path, "sound", file, err)
	default:
		c.fail(path, "%v; give a WAV file of PCM or G.711, from 0.1 s to 5 minutes", err)
	}
}

// maxText is the longest text of a step, in characters; SSML may be longer by
// its markup.
const (
	maxText   = 2000
	maxMarkup = 4 * maxText
)

// speech checks a text that is spoken to callers, and its voice.
func (c *checker) speech(path, text, voice string) {
	most := maxText
	if strings.HasPrefix(strings.ToLower(strings.TrimSpace(text)), "<speak") {
		most = maxMarkup
	}
	if n := utf8.RuneCountInString(text); n > most {
		c.fail(path+".text", "the text has %d characters; at most %d are spoken", n, most)
	}
	if voice != "" {
		c.refer(path+".voice", "voice", voice, slices.Sorted(maps.Keys(c.cfg.TTS.Voices)))
	}
}
