package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"perezvon/configs"
)

func TestEveryMetricOfAServerIsDeclaredAndDocumented(t *testing.T) {
	cfg := configs.Default()
	cfg.DataDir = t.TempDir()
	cfg.Recordings.Dir = filepath.Join(cfg.DataDir, "recordings")
	cfg.HTTP.Listen = netip.MustParseAddrPort("127.0.0.1:0")
	cfg.SIP.Listen[0].Addr = netip.MustParseAddrPort("127.0.0.1:0")
	cfg.Trunks = []configs.Trunk{{Name: "a", Host: "127.0.0.1:9", Options: "off"}}
	cfg.Extensions = []configs.Extension{{Number: "101", Password: configs.NewSecret("a-long-password")}}
	ctx, stop := context.WithCancel(t.Context())
	s, err := startServer(ctx, "", cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.run(ctx, nil) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	declared := prometheus.NewPedanticRegistry()
	declared.MustRegister(serverMetrics{s})
	if _, err := declared.Gather(); err != nil {
		t.Error(err)
	}
	var all strings.Builder // as they are declared, and as they are shown once something was asked
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		serverMetrics{s}.Describe(descs)
	}()
	for d := range descs {
		all.WriteString(d.String())
	}
	for range 2 {
		all.WriteString(metricsOf(t, s))
	}
	var docs strings.Builder
	for _, page := range []string{"api", "sip", "security", "speech"} {
		text, err := os.ReadFile("../../docs/" + page + ".md")
		if err != nil {
			t.Fatal(err)
		}
		docs.Write(text)
	}
	names := regexp.MustCompile(`(?:# HELP |fqName: ")(perezvon_\w+)`).FindAllStringSubmatch(all.String(), -1)
	if len(names) < 30 {
		t.Errorf("there are %d metrics: %s", len(names), all.String())
	}
	for _, n := range names {
		if !regexp.MustCompile("`" + n[1] + "[`{]").MatchString(docs.String()) {
			t.Errorf("%s is documented nowhere", n[1])
		}
	}
}

// metricsOf is what GET /metrics shows.
func metricsOf(t *testing.T, s *server) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.http.Addr().String()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}
