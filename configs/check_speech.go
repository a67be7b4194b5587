package configs

import (
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// engineKeys are the keys of each type of engine, besides those that all have;
// those with a star may not be left out.
func engineKeys(kind string) []string {
	switch kind {
	case "espeak":
		return []string{"path"}
	case "piper":
		return []string{"url*", "key", "request"}
	case "openai":
		return []string{"url", "key", "model", "format", "rate"}
	case "yandex":
		return []string{"url", "key", "token_file", "folder", "model", "format", "rate"}
	case "command":
		return []string{"command*"}
	}
	return nil
}

// engine checks that the keys are those of the type.
func (c *checker) engine(path string, e *Engine) {
	keys := engineKeys(e.Type)
	if keys == nil {
		return // the type was told
	}
	for _, key := range []string{"path", "command", "url", "key", "token_file", "folder", "model", "format", "rate", "request"} {
		switch given := c.has(path + "." + key); {
		case given && !slices.Contains(keys, key) && !slices.Contains(keys, key+"*"):
			c.fail(path+"."+key, "engines of the type %s have no %s; they have %s", e.Type, key,
				strings.ReplaceAll(strings.Join(keys, ", "), "*", ""))
		case !given && slices.Contains(keys, key+"*"):
			c.fail(path+"."+key, "key %q is missing: engines of the type %s need it", key, e.Type)
		}
	}
	switch {
	case e.Type == "yandex" && e.Key.IsZero() && e.TokenFile == "" && c.ok(path+".key"):
		c.fail(path+".key", "key is missing, or token_file with an IAM token")
	case !e.Key.IsZero() && e.TokenFile != "":
		c.fail(path+".token_file", "key and token_file are two ways to say the same: leave one out")
	}
	if e.Rate != 0 && (e.Format == "wav" || e.Format == "" && e.Type == "openai") {
		c.fail(path+".rate", "a WAV file says its rate itself: leave rate out, or write format: pcm")
	}
	if e.Type == "yandex" && e.Rate != 0 && !slices.Contains([]int{8000, 16000, 48000}, e.Rate) {
		c.fail(path+".rate", "SpeechKit has 8000, 16000 and 48000")
	}
	c.program(path+".path", e.Path)
	if len(e.Command) > 0 {
		c.program(path+".command", e.Command[0])
		for i, arg := range e.Command[1:] {
			c.placeholders(index(path+".command", i+1), arg)
		}
	}
	c.address(path+".url", e.URL)
}

// placeholders are what the arguments of a command may hold.
func placeholders() []string { return []string{"voice", "language", "role", "speed"} }

// placeholder is one, or behind a $ a variable of a shell.
var placeholder = regexp.MustCompile(`\$?\{([A-Za-z_]+)\}`)

// placeholders checks those of an argument. An argument of several words may be
// a script, with braces of its own: only what looks like a slip is one there.
func (c *checker) placeholders(path, arg string) {
	for _, m := range placeholder.FindAllStringSubmatch(arg, -1) {
		near := nearest(m[1], placeholders())
		switch {
		case m[0][0] == '$', slices.Contains(placeholders(), m[1]), near == "" && strings.ContainsAny(arg, " \t\n"):
			continue
		case near != "":
			near = ", most likely {" + near + "}"
		}
		c.fail(path, "unknown placeholder {%s}%s; valid: {%s}", m[1], near, strings.Join(placeholders(), "}, {"))
	}
}

// program checks the name of a program: one that is looked for, or its whole
// path.
func (c *checker) program(path, name string) {
	switch {
	case c.has(path) && c.ok(path) && name == "",
		strings.ContainsRune(name, filepath.Separator) && !filepath.IsAbs(name):
		c.fail(path, "expected a program's name or its whole path, found %s", show(name))
	}
}

// address checks the URL of an engine.
func (c *checker) address(path, text string) {
	if !c.has(path) || !c.ok(path) {
		return
	}
	switch u, err := url.Parse(text); {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		c.fail(path, "expected an address such as http://127.0.0.1:5000, found %s", show(text))
	case u.User != nil:
		c.fail(path, "a password does not belong in an address: write it as key")
	case u.RawQuery != "" || u.Fragment != "":
		c.fail(path, "leave out what is behind ? or #")
	}
}

func (c *checker) tts() {
	t := &c.cfg.TTS
	names := make([]string, 0, len(t.Voices))
	for name := range t.Voices {
		names = append(names, name)
	}
	slices.Sort(names)
	for i := range t.Engines {
		c.engine(index("tts.engines", i), &t.Engines[i])
	}
	for _, name := range names {
		path, v := "tts.voices."+name, t.Voices[name]
		if !word.MatchString(name) {
			c.fail(join("tts.voices", name), "%s is not a name: letters, digits and . _ - are, at most 64 of them", show(name))
			continue
		}
		c.refer(path+".engine", "engine", v.Engine, c.engines)
		if v.Voice != "" && !engineVoice.MatchString(v.Voice) {
			c.fail(path+".voice", "%s is not the name of a voice, such as ru+f3", show(v.Voice))
		}
		for i, other := range v.Fallback {
			if other == name {
				c.fail(index(path+".fallback", i), "a voice cannot stand in for itself")
			}
			c.refer(index(path+".fallback", i), "voice", other, names)
		}
	}
	switch {
	case !c.ok("tts.voices") || slices.Contains(names, t.Voice):
	case c.has("tts.voice"):
		c.refer("tts.voice", "voice", t.Voice, names)
	case len(names) == 0:
		c.fail("tts.voices", "none of the engines is of the type espeak, which has voices by default: name those of yours")
	default:
		own := slices.IndexFunc(names, func(name string) bool { return c.has(join("tts.voices", name)) })
		c.fail("tts.voice", "there are several voices: say which one is the default, such as voice: %s", names[max(own, 0)])
	}
}
