package sip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestFailureSaysWhatHappenedWhereAndAfterHowLong(t *testing.T) {
	refused := fmt.Errorf("fail to write request req=%q: %w. %w", "INVITE",
		&net.OpError{Op: "write", Err: os.NewSyscallError("sendto", syscall.EINVAL)}, errors.New("transaction transport error"))
	dns := func(e net.DNSError) error { return fmt.Errorf("resolve annas-phone.local: %w", &e) }
	const at = "127.0.0.81:5060"
	for _, tc := range []struct {
		want string
		f    Failure
	}{
		{"no answer from 127.0.0.81:5060 within 4s", Failure{Kind: NoResponse, Destination: at, Waited: 4 * time.Second}},
		{"no answer", Failure{Kind: NoResponse}},
		{"127.0.0.81:5060 did not ring within 1m30s", Failure{Kind: NoRinging, Status: 487, Destination: at, Waited: 90 * time.Second}},
		{"not answered within 3m", Failure{Kind: RingTimeout, Destination: at, Waited: 3 * time.Minute}},
		{"403 Forbidden", Failure{Kind: Rejected, Status: 403, Phrase: "Forbidden", Reasons: []Reason{{"SIP", 200, "x"}}}},
		{"503", Failure{Kind: Rejected, Status: 503}},
		{"480 Gone (No user responding)", Failure{Kind: Rejected, Status: 480, Phrase: "Gone", Reasons: []Reason{{"Q.850", 18, "No user responding"}}}},
		{"500 Oops (Q.850 cause 41)", Failure{Kind: Rejected, Status: 500, Phrase: "Oops", Reasons: []Reason{{"q.850", 41, ""}}}},
		{"cancelled by the caller", Failure{Kind: Cancelled, Status: 487}},
		{"the operator hung up", Failure{Kind: Cancelled, Status: 487, Destination: at, Err: errors.New("the operator hung up")}},
		{"cannot send to 192.0.2.22:5060: invalid argument", Failure{Kind: Transport, Destination: "192.0.2.22:5060", Err: refused}},
		{"host annas-phone.local has no address: no such host", Failure{Kind: Unresolved, Destination: "annas-phone.local", Err: dns(net.DNSError{Err: "no such host", Name: "annas-phone.local", Server: "127.0.0.53:53", IsNotFound: true})}},
		{"host a has no address: the DNS server did not answer", Failure{Kind: Unresolved, Destination: "a", Err: dns(net.DNSError{Err: "i/o timeout", IsTimeout: true})}},
		{"host a has no address: DNS: connection refused", Failure{Kind: Unresolved, Destination: "a", Err: dns(net.DNSError{Err: "read udp 127.0.0.1:4->127.0.0.53:53: read: connection refused"})}},
		{"host a has no address: DNS: server misbehaving", Failure{Kind: Unresolved, Destination: "a", Err: dns(net.DNSError{Err: "server misbehaving"})}},
		{"no such trunk or extension: 999", Failure{Kind: Unresolved, Destination: "999", Err: ErrUnknownTarget}},
		{"no usable media: the answer has no session description", Failure{Kind: BadMedia, Status: 200, Err: errors.New("the answer has no session description")}},
		{"the SIP agent is closed", Failure{Kind: Internal, Err: ErrClosed}},
		{"internal error: journal: disk full", Failure{Kind: Internal, Err: fmt.Errorf("journal: %w", errors.New("disk full"))}},
	} {
		if got := tc.f.Error(); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
		if tc.f.Err != nil && !errors.Is(&tc.f, tc.f.Err) {
			t.Errorf("%q: its cause is not to be found", tc.want)
		}
	}
}

func TestFailedInvitesCanBeRead(t *testing.T) {
	for want, play := range map[string]func(t *testing.T, b *bed) error{
		"no answer from 10.0.0.9:5060 within 4s": func(t *testing.T, b *bed) error {
			return (<-b.invite(t.Context(), Invite{})).err
		},
		"10.0.0.9:5060 did not ring within 10s": func(t *testing.T, b *bed) error {
			out := b.invite(t.Context(), Invite{})
			req := b.carrier.expect("INVITE")
			b.carrier.reply(req, "100 Trying")
			b.carrier.reply(b.carrier.expect("CANCEL"), "200 OK")
			b.carrier.reply(req, "487 Request Terminated")
			return (<-out).err
		},
		"not answered within 25s": func(t *testing.T, b *bed) error {
			out := b.invite(t.Context(), Invite{Ring: 25 * time.Second})
			req := b.carrier.expect("INVITE")
			b.carrier.reply(req, "180 Ringing")
			b.carrier.reply(b.carrier.expect("CANCEL"), "200 OK")
			b.carrier.reply(req, "487 Request Terminated")
			return (<-out).err
		},
		"403 Forbidden (Call rejected)": func(t *testing.T, b *bed) error {
			out := b.invite(t.Context(), Invite{})
			b.carrier.reply(b.carrier.expect("INVITE"), "403 Forbidden", `Reason: Q.850;cause=21;text="Call rejected"`)
			return (<-out).err
		},
		"hung up": func(t *testing.T, b *bed) error {
			ctx, cancel := context.WithCancelCause(t.Context())
			out := b.invite(ctx, Invite{})
			b.carrier.reply(b.carrier.expect("INVITE"), "180 Ringing")
			synctest.Wait()
			cancel(hangup{})
			return (<-out).err
		},
	} {
		t.Run(want, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				if err := play(t, testAgent(t, nil)); err == nil || err.Error() != want {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestTargetWithoutAddressIsUnresolvedForCallsAndForMedia(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) {
			c.Extensions[0].Contact = "sip:101@annas-phone.local"
			c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
			}
		})
		const want = "host annas-phone.local has no address: no such host"
		phone := Target{Extension: "101"}
		f := failure(t, <-b.invite(t.Context(), Invite{Target: phone}))
		if f.Kind != Unresolved || f.Error() != want {
			t.Errorf("invite: %v", f)
		}
		_, err := b.agent.LocalIP(t.Context(), phone)
		if f, ok := errors.AsType[*Failure](err); !ok || f.Kind != Unresolved || f.Error() != want {
			t.Errorf("local address: %v", err)
		}
		_, err = b.agent.LocalIP(t.Context(), Target{Extension: "999"})
		if f, ok := errors.AsType[*Failure](err); !ok || f.Kind != Unresolved || !errors.Is(err, ErrUnknownTarget) {
			t.Errorf("local address of nobody: %v", err)
		}
	})
}

func TestLateAnswerWhoseByeIsNotConfirmedIsLoggedInWords(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		ctx, cancel := context.WithCancel(t.Context())
		out := b.invite(ctx, Invite{})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "180 Ringing")
		synctest.Wait()
		cancel()
		b.carrier.expect("CANCEL")
		b.carrier.reply(req, "200 OK", "body:"+testSDP)
		b.carrier.expect("ACK")
		<-out
		time.Sleep(2 * txTimeout)
		log := b.log.String()
		if !strings.Contains(log, `did not confirm our BYE" to=10.0.0.9:5060 why="no answer from 10.0.0.9:5060 within 32s"`) {
			t.Errorf("log:\n%s", log)
		}
		if strings.Contains(log, "Timer_B") {
			t.Error("the log speaks of the library's timers")
		}
	})
}
