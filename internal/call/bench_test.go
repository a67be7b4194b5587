package call_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/memnet"
	"perezvon/internal/store"
	"perezvon/internal/store/enginetest"
	"perezvon/media"
	"perezvon/media/g711"
	"perezvon/sip"
)

// shortSpeech renders every text as one packet.
type shortSpeech struct{ clip *g711.Clip }

func (s shortSpeech) Render(context.Context, string, string) (*g711.Clip, error) { return s.clip, nil }
func (shortSpeech) Validate(string, string) error                                { return nil }

// BenchmarkCallback carries callbacks out from the request to the stored end:
// the manager answers and hears a packet of speech, the customer answers and
// hangs up. Sixteen are under way at once. The network is in memory, the disk
// is real. cpu-ms/op is the processor time of the process, which plays the
// phones as well.
func BenchmarkCallback(b *testing.B) {
	svc, db, carrier := benchService(b)
	var n, failed atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(8)
	before := processorTime(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			number := fmt.Sprintf("7916%07d", n.Add(1))
			carrier.Number(number, lab.Script{lab.Answer(0), lab.Talk(0), lab.Bye()})
			rec, _, err := svc.Callback(b.Context(), call.CallbackRequest{Line: "main", Number: "+" + number, Text: "x"})
			if err != nil {
				b.Error(err)
				return
			}
			for err == nil && rec.State != store.StateEnded {
				time.Sleep(20 * time.Millisecond)
				rec, err = db.Call(b.Context(), rec.ID)
			}
			if err != nil || rec.Result != store.ResultCompleted {
				failed.Add(1)
			}
		}
	})
	b.StopTimer()
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N)/1e6, "cpu-ms/op")
	if k := failed.Load(); k > 0 {
		b.Errorf("%d of %d callbacks failed", k, b.N)
	}
}

// benchService is a service in real time with a carrier and one phone.
func benchService(b *testing.B) (*call.Service, enginetest.Store, *lab.Carrier) {
	b.Helper()
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	ctx, log, virtual := context.Background(), slog.New(slog.DiscardHandler), memnet.New()
	network := func(addr string) *lab.Carrier {
		c, err := lab.NewCarrier(ctx, lab.Config{Signal: netip.MustParseAddrPort(addr), Network: lab.Virtual(virtual.ListenUDP)})
		must(err)
		return c
	}
	carrier, phone := network("10.0.0.2:5060"), network("10.0.0.11:5060")
	phone.Number("101", lab.Script{lab.Answer(0)})
	cfg := baseConfig()
	cfg.Lines[0].Record = false
	cfg.Limits.PerNumber.Count = 0
	db := enginetest.Open(b, b.TempDir())
	mcfg := media.Config{BindIP: ourIP, Listen: func(ctx context.Context, a netip.AddrPort) (media.Conn, error) { return virtual.ListenUDP(ctx, a) }}
	mcfg.Ports.First, mcfg.Ports.Last = 20000, 59999
	sound, err := media.New(mcfg)
	must(err)
	agent, err := sip.New(sip.Config{
		Listen: []net.PacketConn{virtual.MustListen("10.0.0.1:5060")}, PublicIP: ourIP, Journal: call.NewJournal(db), Logger: log,
		Trunks:     []sip.Trunk{{Name: "provider", Host: "10.0.0.2:5060"}},
		Extensions: []sip.Extension{{Number: "101", Contact: "sip:101@10.0.0.11:5060"}},
		Handle:     func(context.Context, *sip.Incoming) {},
	})
	must(err)
	svc := call.New(call.Config{
		Settings: cfg, Phones: agent, Sound: sound, Speech: shortSpeech{tone(speechTone, 20*time.Millisecond)},
		Records: db, RecordingsDir: b.TempDir(), Logger: log,
	})
	must(agent.Start(ctx))
	must(svc.Start(ctx))
	b.Cleanup(func() {
		must(svc.Close(ctx))
		must(agent.Close(ctx))
		must(sound.Close())
		must(db.Close())
		must(carrier.Close())
		must(phone.Close())
	})
	return svc, db, carrier
}

// processorTime is what this process has used so far.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
