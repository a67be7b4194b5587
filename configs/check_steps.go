package configs

import (
	"maps"
	"slices"
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
}

// maxText is the longest text of a step, in characters.
const maxText = 2000

// speech checks a text that is spoken to callers, and its voice.
func (c *checker) speech(path, text, voice string) {
	if n := utf8.RuneCountInString(text); n > maxText {
		c.fail(path+".text", "the text has %d characters; at most %d are spoken", n, maxText)
	}
	if voice != "" {
		c.refer(path+".voice", "voice", voice, slices.Sorted(maps.Keys(c.cfg.TTS.Voices)))
	}
}
