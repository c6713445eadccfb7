package credential

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/secret"
)

var slack = &connector.Connector{Name: "slack", Slots: map[string]connector.Slot{
	"botToken":      {Use: connector.SlotInject},
	"signingSecret": {Use: connector.SlotVerify},
}}

func cred(keys map[string]string) *v1alpha1.ClawCredential {
	return &v1alpha1.ClawCredential{
		ObjectMeta: metav1.ObjectMeta{Name: "triage-slack", Namespace: "acme"},
		Spec: v1alpha1.ClawCredentialSpec{
			Connector: "slack", Claw: v1alpha1.CredentialClaw{Name: "triage", Owner: "sarah@acme.example"},
			Source: v1alpha1.CredentialSource{Secret: &v1alpha1.SecretSource{Name: "keys", Keys: keys}},
		},
	}
}

func source(change func(*corev1.Secret)) *corev1.Secret {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "keys", Annotations: map[string]string{v1alpha1.AnnotationCredential: "triage-slack"}},
		Type:       v1alpha1.SecretTypeCredential,
		Data:       map[string][]byte{"bot": []byte("xoxb-real\n"), "signing": []byte("s3cret"), "empty": []byte(" \n"), "evil": []byte("a\r\nHost: b")},
	}
	if change != nil {
		change(s)
	}
	return s
}

func TestFromSecret(t *testing.T) {
	both := map[string]string{"botToken": "bot", "signingSecret": "signing"}
	for name, c := range map[string]struct {
		keys   map[string]string
		source *corev1.Secret
		conn   *connector.Connector
		reason string
		says   string
	}{
		"read":               {keys: both, source: source(nil), conn: slack},
		"unknown connector":  {keys: both, source: source(nil), reason: v1alpha1.ReasonUnknownConnector, says: "slack"},
		"no Secret":          {keys: both, conn: slack, reason: v1alpha1.ReasonSecretNotFound, says: "keys"},
		"another type":       {keys: both, source: source(func(s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }), conn: slack, reason: v1alpha1.ReasonSecretRefused, says: "Opaque"},
		"names another":      {keys: both, source: source(func(s *corev1.Secret) { s.Annotations[v1alpha1.AnnotationCredential] = "x" }), conn: slack, reason: v1alpha1.ReasonSecretRefused, says: "triage-slack"},
		"names nobody":       {keys: both, source: source(func(s *corev1.Secret) { s.Annotations = nil }), conn: slack, reason: v1alpha1.ReasonSecretRefused, says: "annotation"},
		"unknown slot":       {keys: map[string]string{"botToken": "bot", "admin": "bot"}, source: source(nil), conn: slack, reason: v1alpha1.ReasonSecretRefused, says: "botToken, signingSecret"},
		"missing key":        {keys: map[string]string{"botToken": "nope"}, source: source(nil), conn: slack, reason: v1alpha1.ReasonSecretRefused, says: "nope"},
		"empty value":        {keys: map[string]string{"botToken": "empty"}, source: source(nil), conn: slack, reason: v1alpha1.ReasonSecretRefused, says: "empty"},
		"header injection":   {keys: map[string]string{"botToken": "evil"}, source: source(nil), conn: slack, reason: v1alpha1.ReasonSecretRefused, says: "control"},
		"lent to its owner":  {keys: both, source: source(func(s *corev1.Secret) { s.Annotations[v1alpha1.AnnotationOwner] = "sarah@acme.example" }), conn: slack},
		"lent to another":    {keys: both, source: source(func(s *corev1.Secret) { s.Annotations[v1alpha1.AnnotationOwner] = "lee@acme.example" }), conn: slack, reason: v1alpha1.ReasonSecretRefused, says: "lee@acme.example"},
		"lent to nobody":     {keys: both, source: source(func(s *corev1.Secret) { s.Annotations[v1alpha1.AnnotationOwner] = "" }), conn: slack, reason: v1alpha1.ReasonSecretRefused, says: "sarah@acme.example"},
		"without what calls": {keys: map[string]string{"signingSecret": "signing"}, source: source(nil), conn: slack, reason: v1alpha1.ReasonSecretRefused, says: "botToken"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := FromSecret(cred(c.keys), c.source, c.conn)
			if c.reason == "" {
				if err != nil || !got["botToken"].Equal([]byte("xoxb-real")) || len(got) != 2 {
					t.Fatalf("got %v, %v", got, err)
				}
				return
			}
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Reason != c.reason || !strings.Contains(refusal.Message, c.says) {
				t.Errorf("got %v, want %s saying %q", err, c.reason, c.says)
			}
			if err != nil && (strings.Contains(err.Error(), "xoxb") || strings.Contains(err.Error(), "Host")) {
				t.Errorf("a value is in the message: %v", err)
			}
		})
	}
}

func external(change func(*v1alpha1.ExternalSecretSource)) *v1alpha1.ClawCredential {
	c := cred(nil)
	c.UID = "cred-uid"
	c.Spec.Source = v1alpha1.CredentialSource{ExternalSecret: &v1alpha1.ExternalSecretSource{
		SecretStoreRef: v1alpha1.StoreReference{Kind: v1alpha1.StoreOfCluster, Name: "vault"}, RefreshIntervalSeconds: 600,
		Data: []v1alpha1.ExternalSecretData{
			{Slot: "botToken", Key: "acme/triage-slack", Property: "bot"},
			{Slot: "signingSecret", Key: "acme/triage-signing"},
		},
	}}
	if change != nil {
		change(c.Spec.Source.ExternalSecret)
	}
	return c
}

// What External Secrets Operator makes is a Secret that the credential can be read from.
func TestFromExternalSecret(t *testing.T) {
	made := func(change func(*corev1.Secret)) *corev1.Secret {
		s := source(change)
		s.Name = "triage-slack-external"
		s.Data = map[string][]byte{"botToken": []byte("xoxb-real"), "signingSecret": []byte("s3cret")}
		return s
	}
	got, err := FromSecret(external(nil), made(nil), slack)
	if err != nil || !got["botToken"].Equal([]byte("xoxb-real")) || len(got) != 2 {
		t.Errorf("got %v, %v", got, err)
	}
	for name, c := range map[string]struct {
		cred   *v1alpha1.ClawCredential
		source *corev1.Secret
		reason string
		says   string
	}{
		"not made":     {external(nil), nil, v1alpha1.ReasonDependencyNotReady, "External Secrets"},
		"planted":      {external(nil), made(func(s *corev1.Secret) { s.Annotations = nil }), v1alpha1.ReasonSecretRefused, "annotation"},
		"no such slot": {external(func(e *v1alpha1.ExternalSecretSource) { e.Data[1].Slot = "admin" }), made(nil), v1alpha1.ReasonSecretRefused, "spec.source.externalSecret.data[admin]"},
		"half":         {external(func(e *v1alpha1.ExternalSecretSource) { e.Data = e.Data[1:] }), made(nil), v1alpha1.ReasonSecretRefused, "botToken"},
	} {
		var refusal *Refusal
		if _, err := FromSecret(c.cred, c.source, slack); !errors.As(err, &refusal) || refusal.Reason != c.reason || !strings.Contains(refusal.Message, c.says) {
			t.Errorf("%s: got %v, want %s saying %q", name, err, c.reason, c.says)
		}
	}
	if SourceName(external(nil)) != "triage-slack-external" || SourceName(cred(nil)) != "keys" {
		t.Error("the Secret is looked for elsewhere")
	}
}

func TestExternalSecret(t *testing.T) {
	const want = `apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata:
  labels:
    app.kubernetes.io/managed-by: clawstaff-manager
  name: triage-slack
  namespace: acme
  ownerReferences:
  - apiVersion: clawstaff.dev/v1alpha1
    controller: true
    kind: ClawCredential
    name: triage-slack
    uid: cred-uid
spec:
  data:
  - remoteRef:
      key: acme/triage-slack
      property: bot
    secretKey: botToken
  - remoteRef:
      key: acme/triage-signing
    secretKey: signingSecret
  refreshInterval: 600s
  secretStoreRef:
    kind: ClusterSecretStore
    name: vault
  target:
    creationPolicy: Owner
    deletionPolicy: Delete
    name: triage-slack-external
    template:
      metadata:
        annotations:
          clawstaff.dev/credential: triage-slack
      type: clawstaff.dev/credential
`
	got, err := yaml.Marshal(ExternalSecret(external(nil)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
	if ExternalSecret(cred(nil)) != nil {
		t.Error("a credential with a Secret asks for an ExternalSecret")
	}
}

func TestHasher(t *testing.T) {
	h, other := NewHasher(make([]byte, KeySize)), NewHasher([]byte(strings.Repeat("x", KeySize)))
	slots := func(pairs ...string) Slots {
		s := Slots{}
		for i := 0; i < len(pairs); i += 2 {
			s[pairs[i]] = secret.New([]byte(pairs[i+1]))
		}
		return s
	}
	a := slots("x", "1", "y", "2")
	if h.Version(a) != h.Version(slots("y", "2", "x", "1")) {
		t.Error("the order matters")
	}
	for name, s := range map[string]Slots{
		"value": slots("x", "1", "y", "3"), "slot": slots("x", "1", "z", "2"), "fewer": slots("x", "1"), "shifted": slots("x", "1y", "", "2"),
	} {
		if h.Version(a) == h.Version(s) {
			t.Errorf("another %s has the same version", name)
		}
	}
	if h.Version(a) == other.Version(a) || h.Fingerprint(a["x"]) == other.Fingerprint(a["x"]) {
		t.Error("the key does not matter")
	}
	if h.Fingerprint(a["x"]) != h.Fingerprint(slots("other", "1")["other"]) {
		t.Error("the same value in another slot has another fingerprint")
	}
	if h.Version(Slots{}) != "" {
		t.Error("nothing has a version")
	}
	if got := h.Fingerprints(slots("x", "1", "y", "1")); len(got) != 1 {
		t.Errorf("got %d fingerprints of one value", len(got))
	}
}

// TestHolder is I4: the same key under a second Claw is refused to the second, and the first keeps it.
func TestHolder(t *testing.T) {
	at := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	make := func(namespace, claw, name string, age int, isolated metav1.ConditionStatus, state v1alpha1.CredentialState) v1alpha1.ClawCredential {
		return v1alpha1.ClawCredential{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, UID: types.UID(namespace + name), CreationTimestamp: metav1.NewTime(at.Add(-time.Duration(age) * time.Hour))},
			Spec:       v1alpha1.ClawCredentialSpec{Claw: v1alpha1.CredentialClaw{Name: v1alpha1.ObjectName(claw)}, State: state},
			Status: v1alpha1.ClawCredentialStatus{
				Fingerprints: []string{"f"},
				Conditions:   []metav1.Condition{{Type: v1alpha1.ConditionIsolated, Status: isolated}},
			},
		}
	}
	fresh := make("acme", "b", "b-key", 5, metav1.ConditionUnknown, "")
	for name, c := range map[string]struct {
		cred  v1alpha1.ClawCredential
		same  []v1alpha1.ClawCredential
		holds string
	}{
		"nobody":                        {fresh, nil, ""},
		"itself":                        {make("acme", "b", "b-key", 1, metav1.ConditionTrue, ""), []v1alpha1.ClawCredential{make("acme", "b", "b-key", 1, metav1.ConditionTrue, "")}, ""},
		"another of the same Claw":      {fresh, []v1alpha1.ClawCredential{make("acme", "b", "b-other", 9, metav1.ConditionTrue, "")}, ""},
		"a younger one that has it":     {fresh, []v1alpha1.ClawCredential{make("acme", "a", "a-key", 1, metav1.ConditionTrue, "")}, "a-key"},
		"the same name, another cage":   {fresh, []v1alpha1.ClawCredential{make("globex", "b", "b-key", 1, metav1.ConditionTrue, "")}, "b-key"},
		"one that was refused itself":   {fresh, []v1alpha1.ClawCredential{make("acme", "a", "a-key", 9, metav1.ConditionFalse, "")}, ""},
		"a revoked one":                 {fresh, []v1alpha1.ClawCredential{make("acme", "a", "a-key", 9, metav1.ConditionTrue, v1alpha1.CredentialRevoked)}, ""},
		"both have it, this is older":   {make("acme", "b", "b-key", 5, metav1.ConditionTrue, ""), []v1alpha1.ClawCredential{make("acme", "a", "a-key", 1, metav1.ConditionTrue, "")}, ""},
		"both have it, this is younger": {make("acme", "b", "b-key", 5, metav1.ConditionTrue, ""), []v1alpha1.ClawCredential{make("acme", "a", "a-key", 9, metav1.ConditionTrue, "")}, "a-key"},
	} {
		got := Holder(&c.cred, []string{"f"}, c.same)
		switch {
		case got == nil && c.holds != "":
			t.Errorf("%s: nobody holds it, want %s", name, c.holds)
		case got != nil && got.Name != c.holds:
			t.Errorf("%s: %s holds it, want %q", name, got.Name, c.holds)
		}
	}
}
