package v1alpha1

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/clawstaff/clawstaff/api/v1alpha1"
	"github.com/clawstaff/clawstaff/internal/connector"
	"github.com/clawstaff/clawstaff/internal/policy"
	"github.com/clawstaff/clawstaff/internal/testing/controlplane"
)

var update = flag.Bool("update", false, "rewrite what docs/permissions.md quotes")

// example is a block of YAML on the page, and what is done with it. What is answered follows it in a block of text.
type example struct {
	what   string // applied, changed to, granted, refused to
	who    string
	yaml   string
	answer string
	// where the answer, or of a grant the YAML, is on the page
	from, to int
}

var (
	marked = regexp.MustCompile("(?s)<!-- (applied|changed to|granted|refused to)(?: by)?(?: ([^ ]+))? -->\n```yaml\n(.*?)```\n")
	quoted = regexp.MustCompile("(?s)^\n```text\n(.*?)```\n")
)

func examplesOf(page string) []example {
	var out []example
	for _, at := range marked.FindAllStringSubmatchIndex(page, -1) {
		part := func(i int) string {
			if at[2*i] < 0 {
				return ""
			}
			return page[at[2*i]:at[2*i+1]]
		}
		e := example{what: part(1), who: part(2), yaml: part(3), from: at[6], to: at[7]}
		if q := quoted.FindStringSubmatchIndex(page[at[1]:]); q != nil {
			e.from, e.to = at[1]+q[2], at[1]+q[3]
			e.answer = page[e.from:e.to]
		}
		out = append(out, e)
	}
	return out
}

// The page about permissions shows what happens: its examples are applied, and what it quotes is what
// kubectl says and what the manager grants. With -update the quotes are written anew.
func TestPermissionsPage(t *testing.T) {
	create(t, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "globex", Labels: map[string]string{v1alpha1.LabelOrganization: "globex"}}})
	t.Cleanup(func() {
		ctx, k8s := context.Background(), as(admin)
		err := errors.Join(
			k8s.DeleteAllOf(ctx, &v1alpha1.Claw{}, client.InNamespace("globex")),
			k8s.DeleteAllOf(ctx, &v1alpha1.ClawPolicy{}, client.InNamespace("globex")),
			k8s.Delete(ctx, &v1alpha1.ClawOrganization{ObjectMeta: metav1.ObjectMeta{Name: "globex"}}))
		if err != nil {
			t.Error(err)
		}
	})
	run := kubectl(t)
	path := filepath.Join(controlplane.Root(), "docs", "permissions.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(data)
	var said []string
	var applied []string
	examples, refusals := examplesOf(page), 0
	for _, e := range examples {
		switch e.what {
		case "applied":
			applied = append(applied, strings.Split(e.yaml, "---\n")...)
			apply(t, run, e)
			said = append(said, "")
		case "refused to":
			refusals++
			said = append(said, refused(t, run, e))
		case "changed to":
			applied = append(applied, e.yaml)
			said = append(said, "")
		case "granted":
			said = append(said, granted(t, applied))
		}
	}
	if refusals < 3 {
		t.Errorf("the page shows %d refusals, and promises three", refusals)
	}
	if *update {
		for i := len(examples) - 1; i >= 0; i-- {
			if e := examples[i]; said[i] != "" {
				page = page[:e.from] + said[i] + page[e.to:]
			}
		}
		if err := os.WriteFile(path, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	for i, e := range examples {
		if diff := cmp.Diff(page[e.from:e.to], said[i]); said[i] != "" && diff != "" {
			t.Errorf("the page says something else than is (run with -update) (-page +is):\n%s", diff)
		}
	}
}

// apply applies an example until it takes: the cache may not have yet what came before.
func apply(t *testing.T, run runner, e example) {
	t.Helper()
	if err := until(t.Context(), func() error {
		out, err := run(e.who, e.yaml, "apply", "-f", "-")
		if err != nil {
			return errors.New(out)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// refused is what kubectl says when it is refused.
func refused(t *testing.T, run runner, e example) string {
	t.Helper()
	out, err := run(e.who, e.yaml, "apply", "-f", "-")
	if err == nil {
		t.Fatalf("not refused:\n%s\n%s", e.yaml, out)
	}
	lines := strings.Split(moment.ReplaceAllString(out, "2027-01-31T00:00:00Z"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// moment is a time that follows from when the test runs.
var moment = regexp.MustCompile(`20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z`)

// granted is the grant of the Claw that was applied, by the objects that were applied.
func granted(t *testing.T, objects []string) string {
	t.Helper()
	catalogue, err := connector.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	var org v1alpha1.ClawOrganization
	var claw v1alpha1.Claw
	policies := map[string]v1alpha1.ClawPolicy{}
	for _, text := range objects {
		var p v1alpha1.ClawPolicy
		read := map[string]any{"kind: ClawOrganization\n": &org, "kind: Claw\n": &claw, "kind: ClawPolicy\n": &p}
		for kind, into := range read {
			if strings.Contains(text, kind) {
				if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
					t.Fatal(err)
				}
			}
		}
		if p.Name != "" {
			policies[p.Name] = p
		}
	}
	in := policy.Input{Organization: &org, Claw: &claw, Catalogue: catalogue, Now: time.Now()}
	for _, p := range policies {
		in.Policies = append(in.Policies, p)
	}
	for _, u := range usesOf(&claw.Spec) {
		in.Credentials = append(in.Credentials, policy.UsableCredential{
			GrantCredential: v1alpha1.GrantCredential{Name: u.credential, Connector: u.connector, Delivery: v1alpha1.DeliveryGateway},
			Source:          v1alpha1.CredentialSource{Secret: &v1alpha1.SecretSource{}},
		})
	}
	grant := policy.Compile(in).Grant
	grant.AgentPort, grant.AgentPath, grant.Credentials = 0, "", nil
	data, err := yaml.Marshal(grant)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if !strings.HasPrefix(line, "clawUID: ") && !strings.HasPrefix(line, "hash: ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// runner runs kubectl as a user; nobody is a cluster administrator.
type runner func(user, stdin string, args ...string) (string, error)

// kubectl is that of the control plane.
func kubectl(t *testing.T) runner {
	t.Helper()
	c := clientcmdapi.NewConfig()
	c.Clusters["test"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	c.AuthInfos["test"] = &clientcmdapi.AuthInfo{ClientCertificateData: config.CertData, ClientKeyData: config.KeyData}
	c.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	c.CurrentContext = "test"
	dir := t.TempDir()
	file := filepath.Join(dir, "kubeconfig")
	if err := clientcmd.WriteToFile(*c, file); err != nil {
		t.Fatal(err)
	}
	assets, err := controlplane.Assets()
	if err != nil {
		t.Fatal(err)
	}
	return func(user, stdin string, args ...string) (string, error) {
		args = append([]string{"--kubeconfig", file, "--cache-dir", dir}, args...)
		if user != "" {
			args = append(args, "--as", user, "--as-group", "system:authenticated")
		}
		cmd := exec.Command(filepath.Join(assets, "kubectl"), args...)
		cmd.Stdin = strings.NewReader(stdin)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err != nil {
			return out.String(), fmt.Errorf("kubectl: %w", err)
		}
		return out.String(), nil
	}
}
