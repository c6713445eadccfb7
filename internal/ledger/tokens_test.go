package ledger

import (
	"errors"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	testingclock "k8s.io/utils/clock/testing"

	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

// TestTokensOfARealAPIServer: only a living service account's token for the ledger's audience counts.
func TestTokensOfARealAPIServer(t *testing.T) {
	config, _ := controlplane.Start(t)
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	accounts := api.CoreV1().ServiceAccounts("default")
	for _, name := range []string{"triage-gateway", "triage-agent"} {
		if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	token := func(account string, audiences ...string) string {
		t.Helper()
		request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
		made, err := accounts.CreateToken(t.Context(), account, request, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return made.Status.Token
	}
	reviews, err := NewTokenReviews(config)
	if err != nil {
		t.Fatal(err)
	}
	clock := testingclock.NewFakePassiveClock(time.Now())
	reviews.clock = clock
	good := token("triage-gateway", Audience)
	namespace, claw, err := reviews.Authenticate(t.Context(), good)
	if err != nil || namespace != "default" || claw != "triage" {
		t.Errorf("got %s/%s, %v", namespace, claw, err)
	}
	for name, bad := range map[string]string{
		"the API server's audience": token("triage-gateway"),
		"another audience":          token("triage-gateway", "vault"),
		"the agent's":               token("triage-agent", Audience),
		"an altered one":            good[:len(good)-5] + "AAAAA",
		"no token":                  "hello",
	} {
		if _, _, err := reviews.Authenticate(t.Context(), bad); !errors.Is(err, errUnknownToken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := accounts.Delete(t.Context(), "triage-gateway", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// The API server too remembers its answers for a few seconds.
	for deadline := time.Now().Add(patience); ; {
		clock.SetTime(clock.Now().Add(answerTTL))
		if _, _, err = reviews.Authenticate(t.Context(), good); err != nil || time.Now().After(deadline) {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if !errors.Is(err, errUnknownToken) {
		t.Errorf("of a service account that was deleted: %v", err)
	}
}
