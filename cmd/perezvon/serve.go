package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"perezvon/configs"
	"perezvon/internal/route"
)

// ServeCmd runs the server until SIGTERM or SIGINT, then drains.
type ServeCmd struct {
	LogLevel slog.Level `help:"Least important messages that are logged: debug, info, warn, error." default:"info"`
}

// Run serves. A second signal ends the program at once.
func (cmd *ServeCmd) Run(c *CLI) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: cmd.LogLevel}))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal ends the program at once
	s, err := startServer(ctx, cfg, log)
	if err != nil {
		return err
	}
	log.Info("ready", "version", version(), "api", "http://"+s.http.Addr().String(), "sip", cfg.SIP.Listen,
		"lines", len(cfg.Lines), "data_dir", cfg.DataDir)
	return s.run(ctx)
}

const defaultConfig = "perezvon.yaml"

// loadConfig reads the named file; without a name perezvon.yaml, else the
// built-in defaults.
func loadConfig(path string) (*configs.Config, error) {
	if path == "" {
		path = defaultConfig
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return configs.Default(), nil
		}
	}
	return configs.Load(path)
}

// CheckCmd validates a configuration.
type CheckCmd struct{}

// Run prints what the configuration sets up, or everything that is wrong.
func (cmd *CheckCmd) Run(c *CLI) error {
	cfg, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	for _, w := range append(cfg.Warnings(), route.Problems(cfg)...) {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
	fmt.Print(cfg.Summary())
	return nil
}

// VersionCmd prints the version.
type VersionCmd struct{}

// Run prints the version and the Go release.
func (cmd *VersionCmd) Run(c *CLI) error {
	info, _ := debug.ReadBuildInfo()
	if c.JSON {
		return printJSON(map[string]string{"version": version(), "go": info.GoVersion})
	}
	fmt.Printf("perezvon %s (%s)\n", version(), info.GoVersion)
	return nil
}

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
