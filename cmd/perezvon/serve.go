package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"perezvon/configs"
	"perezvon/media"
)

// ServeCmd runs the server until SIGTERM or SIGINT, then drains.
type ServeCmd struct {
	LogLevel slog.Level `help:"Least important messages that are logged: debug, info, warn, error." default:"info"`
}

// Run serves. A second signal ends the program at once.
func (cmd *ServeCmd) Run(c *CLI) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // from now to the end: where nobody takes it, it kills
	defer signal.Stop(hangups)
	path, cfg, note, err := findConfig(c.Config)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: cmd.LogLevel}))
	if note != "" {
		fmt.Fprintln(os.Stderr, note)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal ends the program at once
	collectLess()
	s, err := startServer(ctx, path, cfg, log)
	if err != nil {
		return err
	}
	log.Info("ready", "version", version(), "api", "http://"+s.http.Addr().String(), "sip", cfg.SIP.Listen,
		"lines", len(cfg.Lines), "data_dir", cfg.DataDir)
	return s.run(ctx, hangups)
}

// garbage is how much may gather before it is collected, in percent of what is
// in use. Calls that are set up and ended leave some 100 KiB each, and collecting
// them at Go's 100 percent is a tenth of their processor time.
const garbage = 200

// collectLess lets garbage gather, unless the environment says how much may.
// GOMEMLIMIT holds in any case.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbage)
	}
}

const defaultConfig = "perezvon.yaml"

// loadConfig reads the named file; without a name perezvon.yaml, else the
// built-in defaults, of which the note tells.
func loadConfig(path string) (cfg *configs.Config, note string, err error) {
	_, cfg, note, err = findConfig(path)
	return cfg, note, err
}

// findConfig is loadConfig, and says which file it was; empty: none.
func findConfig(path string) (found string, cfg *configs.Config, note string, err error) {
	if path == "" {
		path = defaultConfig
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return "", configs.Default(), noConfig(), nil
		}
	}
	cfg, err = configs.Load(path, fromHere())
	return path, cfg, "", err
}

// fromHere has everything that a configuration names looked at on this machine.
func fromHere() configs.Sources {
	return configs.Sources{Sound: func(path string) error {
		_, err := media.ReadClip(path)
		return err
	}}
}

// noConfig says where no configuration was found and what follows from it.
func noConfig() string {
	dir, err := os.Getwd()
	if err != nil {
		dir = "this folder"
	}
	return defaultConfig + " not found in " + dir +
		"; using built-in defaults (no lines, no trunks); see configs/perezvon.example.yaml"
}

// VersionCmd prints the version.
type VersionCmd struct{}

// Run prints the version and the Go release.
func (cmd *VersionCmd) Run(c *CLI) error {
	if c.JSON {
		return printJSON(map[string]string{"version": version(), "go": runtime.Version()})
	}
	fmt.Println(versionLine())
	return nil
}

func versionLine() string { return "perezvon " + version() + " (" + runtime.Version() + ")" }

// version is the module's version or, in a build from a tree, its commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return "devel"
}
