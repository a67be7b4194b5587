package configs

import (
	"net/netip"
	"path/filepath"
	"reflect"
	"strings"
	"time"
)

// Default returns the configuration of an empty file: it listens, speaks
// through espeak-ng and has no lines yet.
func Default() *Config {
	cfg := &Config{
		DataDir:  "./data",
		Store:    Store{Engine: SQLite},
		Region:   "RU",
		Language: "ru",
		HTTP:     HTTP{Listen: netip.MustParseAddrPort("127.0.0.1:8080")},
		SIP: SIP{
			Listen:   []Listen{{Transport: "udp", Addr: netip.MustParseAddrPort("0.0.0.0:5060")}},
			PublicIP: "auto",
		},
		Media: Media{Ports: PortRange{First: 20000, Last: 39999}, Codecs: []string{"PCMA", "PCMU"}},
		TTS: TTS{
			Voice:   defaultVoice,
			Engines: []Engine{{Name: "local", Type: "espeak"}},
			Voices:  defaultVoices("local"),
		},
		Callback: Callback{
			Mode: "manager_first",
			Ring: 25 * time.Second, CustomerRing: 40 * time.Second,
			Confirm: 7 * time.Second, Announcement: 20 * time.Second,
			Attempts: 3, Retry: []time.Duration{2 * time.Minute, 10 * time.Minute},
			BusyRetry: 5 * time.Minute, TTL: 30 * time.Minute,
		},
		Infocall: Infocall{Ring: 40 * time.Second, Attempts: 1, MinHeard: 60, BlockAfter: 10, LoopLimit: 10, AnsweringMachine: "play"},
		Limits: Limits{
			Destinations: []string{"RU"},
			PerNumber:    Rate{Count: 10, Per: time.Hour},
			MaxCall:      time.Hour,
		},
		Perimeter: Perimeter{Failures: 5, Per: time.Minute, Ban: 10 * time.Minute, MaxBan: 24 * time.Hour, Ignored: 100},
		Trace:     Trace{Keep: 7 * 24 * time.Hour},
		Drain:     10 * time.Minute,
	}
	cfg.Recordings = Recordings{Dir: filepath.Join(cfg.DataDir, "recordings"), MinFree: defaultRoom}
	return cfg
}

const (
	defaultTry      = 4 * time.Second
	defaultExpires  = time.Hour
	defaultOptions  = "30s"
	defaultSRTP     = "off"
	defaultStrategy = "all"
	defaultMessage  = 2 * time.Minute
	defaultCallerID = "from"
	defaultDigest   = "md5"
)

// fill sets the defaults that depend on other values of the file.
func (d *decoder) fill(cfg *Config) {
	if !d.has("recordings.dir") {
		cfg.Recordings.Dir = filepath.Join(cfg.DataDir, "recordings")
	}
	if cfg.Music != "" && !filepath.IsAbs(cfg.Music) {
		cfg.Music = filepath.Join(d.dir, cfg.Music)
	}
	if !d.has("limits.destinations") {
		cfg.Limits.Destinations = []string{cfg.Region}
	}
	for i := range cfg.Trunks {
		fillTrunk(&cfg.Trunks[i])
	}
	for i := range cfg.Extensions {
		setIfEmpty(&cfg.Extensions[i].SRTP, defaultSRTP)
		setIfEmpty(&cfg.Extensions[i].Digest, defaultDigest)
	}
	for i := range cfg.Lines {
		d.fillLine(cfg, i)
	}
	fillTTS(d, &cfg.TTS, cfg.Language)
}

func fillTrunk(t *Trunk) {
	setIfEmpty(&t.Transport, "udp")
	setIfEmpty(&t.Format, "plus")
	setIfEmpty(&t.Options, defaultOptions)
	setIfEmpty(&t.AuthUser, t.Username)
	setIfEmpty(&t.SRTP, defaultSRTP)
	setIfEmpty(&t.CallerIDIn, defaultCallerID)
	if len(t.CallerIDOut) == 0 {
		t.CallerIDOut = []string{defaultCallerID}
	}
	if t.Try == 0 {
		t.Try = defaultTry
	}
	if t.Expires == 0 {
		t.Expires = defaultExpires
	}
}

func (d *decoder) fillLine(cfg *Config, i int) {
	l := &cfg.Lines[i]
	setIfEmpty(&l.Name, l.ID)
	for _, steps := range [][]Step{l.Route, l.Otherwise} {
		for j := range steps {
			d.fillStep(&steps[j])
		}
	}
	if l.Callback == nil {
		return
	}
	own, file := reflect.ValueOf(l.Callback).Elem(), reflect.ValueOf(cfg.Callback)
	for f := range own.NumField() {
		if !d.has(join(index("lines", i)+".callback", own.Type().Field(f).Tag.Get("yaml"))) {
			own.Field(f).Set(file.Field(f))
		}
	}
}

func (d *decoder) fillStep(s *Step) {
	switch {
	case s.Group != nil:
		setIfEmpty(&s.Group.Strategy, defaultStrategy)
	case s.Announce != nil && s.Announce.Sound != "" && !filepath.IsAbs(s.Announce.Sound):
		s.Announce.Sound = filepath.Join(d.dir, s.Announce.Sound)
	case s.Voicemail != nil && s.Voicemail.Max == 0:
		s.Voicemail.Max = defaultMessage
	}
}

// fillTTS gives the default voices that the file does not have to its first
// espeak-ng, and the only voice of a file the place of the default one.
func fillTTS(d *decoder, t *TTS, language string) {
	types := make(map[string]string, len(t.Engines))
	local := ""
	for i := range t.Engines {
		e := &t.Engines[i]
		types[e.Name] = e.Type
		if e.Type == "espeak" {
			setIfEmpty(&local, e.Name)
		}
		if e.TokenFile != "" && !filepath.IsAbs(e.TokenFile) {
			e.TokenFile = filepath.Join(d.dir, e.TokenFile)
		}
	}
	if !d.has("tts.voices") {
		t.Voices = make(map[string]Voice)
	} else if _, named := t.Voices[defaultVoice]; !named && !d.has("tts.voice") {
		t.Voice = "" // which of its own the file must say
	}
	for name, v := range t.Voices {
		if t.Voice == "" && len(t.Voices) == 1 {
			t.Voice = name
		}
		setIfEmpty(&v.Name, name)
		if kind := types[v.Engine]; v.Language == "" && (kind == "espeak" || kind == "piper") {
			v.Language, _, _ = strings.Cut(v.Voice, "+")
			v.Language, _, _ = strings.Cut(strings.ReplaceAll(v.Language, "_", "-"), "-")
		}
		setIfEmpty(&v.Language, language)
		t.Voices[name] = v
	}
	if local == "" {
		return
	}
	for name, v := range defaultVoices(local) {
		if _, named := t.Voices[name]; !named {
			t.Voices[name] = v
		}
	}
}

func setIfEmpty(s *string, value string) {
	if *s == "" {
		*s = value
	}
}
