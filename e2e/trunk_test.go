package e2e

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// A trunk that asks for a password and verifies the answer by itself.
func TestTrunkThatAsksForAPassword(t *testing.T) {
	tests := []struct {
		name       string
		ask        lab.Credentials
		password   string
		result     store.Result
		code       string
		wantOwner  store.Party
		wantStatus int
	}{
		{"right, 407 with MD5", lab.Credentials{}, trunkPassword, store.ResultCompleted, "200", "", 200},
		{"right, 407 with SHA-256 or MD5", lab.Credentials{Algorithms: []string{"SHA-256", "MD5"}}, trunkPassword, store.ResultCompleted, "200", "", 200},
		{"right, 401 without qop", lab.Credentials{Status: 401, NoQOP: true}, trunkPassword, store.ResultCompleted, "200", "", 200},
		{"wrong", lab.Credentials{}, "not it", store.ResultTrunkFailed, "403", store.PartyTrunk, 403},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ask := tt.ask
			ask.Username, ask.Password = "trunk-user", trunkPassword
			customers, err := lab.NewCarrier(t.Context(), lab.Config{Signal: netip.MustParseAddrPort("127.0.0.1:0"), Auth: &ask})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = customers.Close() })
			const number = "+79160000020"
			customers.Number(number, append(lab.Customer(200*time.Millisecond), lab.Talk(500*time.Millisecond), lab.Bye()))
			manager := newPhone(t, 0)
			s := serve(t, setup{
				trunk: customers.Addr().String(), manager: manager.Addr().String(), callback: quick,
				trunkMore: fmt.Sprintf(", username: trunk-user, password: %q", tt.password),
			})
			call := s.ended(s.place(api.CallbackBody{Number: number}).ID, 20*time.Second)
			atRest(t, customers, manager)
			s.clean()
			s.stop()
			wantResult(t, call, tt.result, tt.code)
			if got := value(call.ReasonOwner); got != string(tt.wantOwner) {
				t.Errorf("the reason is of %q, want %q", got, tt.wantOwner)
			}
			if got := value(legOf(t, call, store.RoleCustomer).SIPCode); got != tt.wantStatus {
				t.Errorf("the customer's leg ended with the SIP status %d, want %d", got, tt.wantStatus)
			}
		})
	}
}
