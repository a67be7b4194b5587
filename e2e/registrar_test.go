package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/store"
)

const phonePassword = "password-of-102"

// A real phone registers with a password, is rung, and is rung again right
// after the server was killed and started. Over UDP it does not even notice;
// over TCP it is called at its Contact.
func TestAPhoneRegistersIsRungAndSurvivesARestart(t *testing.T) {
	for _, over := range []string{"udp", "tcp"} {
		t.Run(over, func(t *testing.T) {
			t.Parallel()
			customer := newBaresip(t, "+79160000011", "PCMA", customerHz)
			s := newServer(t, setup{
				trunk: customer.addr, manager: "127.0.0.1:9", tcp: true, // nobody is at 101's fixed contact
				extensions: fmt.Sprintf("  - {number: \"102\", name: Boris, password: %q}\n", phonePassword),
				lines:      "  - {id: desk, number: \"+74950000002\", trunks: [carrier], route: [{extension: {number: \"102\"}}]}\n",
			})
			s.start()
			manager := newBaresip(t, "102", "PCMA", managerHz, registersAt(s, over, phonePassword)...)
			wantRegistered(t, s, "102", over)

			callDesk(t, s)
			s.signal(syscall.SIGKILL)
			s.exit(10 * time.Second)
			before := registrations(manager)
			if before == 0 {
				t.Error("the phone does not know that it is registered")
			}
			s.start()
			phones := wantRegistered(t, s, "102", over)
			if !phones[0].Reachable {
				t.Error("the phone is not reachable after the restart")
			}
			callDesk(t, s)
			if n := registrations(manager); n != before && over == "udp" {
				t.Errorf("the phone registered %d times more", n-before)
			}

			manager.quit(t) // takes its registration back
			eventually(t, 10*time.Second, "extension 102 is not registered", func() bool { return len(phonesOf(t, s, "102")) == 0 })
			wantEvents(t, s, store.EventExtensionRegistered, store.EventExtensionUnregistered)
			s.stop()
			customer.quit(t)
		})
	}
}

func TestAPhoneWithAWrongPasswordDoesNotRegister(t *testing.T) {
	t.Parallel()
	s := newServer(t, setup{trunk: "127.0.0.1:9", manager: "127.0.0.1:9", extensions: fmt.Sprintf("  - {number: \"102\", password: %q}\n", phonePassword)})
	s.start()
	phone := newBaresip(t, "102", "PCMA", managerHz, registersAt(s, "udp", "guessed")...)
	eventually(t, 15*time.Second, "the phone is refused", func() bool { return strings.Contains(phone.out.String(), "401") })
	if all := phonesOf(t, s, "102"); len(all) != 0 {
		t.Errorf("registered: %+v", all)
	}
	phone.quit(t)
	s.stop()
}

// callDesk has a callback answered by the phone of the line desk.
func callDesk(t *testing.T, s *server) {
	t.Helper()
	c := s.place(api.CallbackBody{Line: "desk", Number: "+79160000011"})
	s.until(c.ID, store.StateTalking, 30*time.Second)
	if _, err := s.Hangup(within(t, 10*time.Second), c.ID); err != nil {
		t.Fatal(err)
	}
	c = s.ended(c.ID, 10*time.Second)
	wantResult(t, c, store.ResultCompleted, "200")
	s.clean()
}

// registersAt has a phone register with the server.
func registersAt(s *server, over, password string) []string {
	return []string{"auth_pass=" + password, "regint=600", fmt.Sprintf("outbound=\"sip:127.0.0.1:%d;transport=%s\"", s.sip, over)}
}

// registrations counts how often a phone was told that it is registered.
func registrations(b *baresip) int { return strings.Count(b.out.String(), "200 OK") }

func phonesOf(t *testing.T, s *server, extension string) []api.Phone {
	t.Helper()
	list, err := s.Extensions(within(t, 10*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list.Extensions {
		if e.Number == extension {
			return e.Phones
		}
	}
	t.Fatalf("there is no extension %s", extension)
	return nil
}

func wantRegistered(t *testing.T, s *server, extension, transport string) []api.Phone {
	t.Helper()
	var all []api.Phone
	eventually(t, 15*time.Second, "extension "+extension+" is registered", func() bool {
		all = phonesOf(t, s, extension)
		return len(all) == 1
	})
	if p := all[0]; p.Transport != transport || !strings.Contains(p.UserAgent, "baresip") || time.Until(p.ExpiresAt) < time.Minute {
		t.Errorf("%+v", p)
	}
	return all
}

// wantEvents checks what the events of phones were, in their order.
func wantEvents(t *testing.T, s *server, want ...string) {
	t.Helper()
	var got []string
	eventually(t, 10*time.Second, "as many events of phones", func() bool {
		var page struct{ Events []api.Event }
		if err := json.Unmarshal([]byte(s.get("/api/v1/events?type=extension.registered&type=extension.unregistered")), &page); err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, e := range page.Events {
			got = append(got, e.Type)
		}
		return len(got) >= len(want)
	})
	if !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
}

// A foreign stack goes through the registrations of RFC 3665 section 2, as an
// extension that there is and one that there is not.
func TestForeignPhoneRegisters(t *testing.T) {
	t.Parallel()
	s := serve(t, setup{trunk: "127.0.0.1:9", manager: "127.0.0.1:9", extensions: fmt.Sprintf("  - {number: \"102\", password: %q}\n", phonePassword)})
	newSIPp(t, "phone-registers", s.sipAddr(), "ext", "102", "password", phonePassword).passed(t, 20*time.Second)
	if left := phonesOf(t, s, "102"); len(left) != 0 {
		t.Errorf("phones are registered that have left: %+v", left)
	}
	newSIPp(t, "phone-guesses", s.sipAddr(), "ext", "102", "password", "guessed").passed(t, 20*time.Second)
	newSIPp(t, "phone-guesses", s.sipAddr(), "ext", "999", "password", phonePassword).passed(t, 20*time.Second)
	s.clean()
	s.stop()
}
